"""Widgets that know cells, bars and colours, and nothing of models."""
