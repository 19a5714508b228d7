"""Papers reproduced: the pane of their cards, and its words."""
