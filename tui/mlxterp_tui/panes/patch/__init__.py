"""Patching: its pane, and what it shows, computed without a screen."""
