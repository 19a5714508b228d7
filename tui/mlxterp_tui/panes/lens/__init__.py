"""The lens: its pane, its pages, and what they show, computed without a screen."""
