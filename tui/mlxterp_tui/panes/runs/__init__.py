"""The research log: its pane, the tree of runs, and their words."""
