"""The engine's queue: its pane, and its words."""
