"""Runs as files for other programs and other people: one file a format."""
