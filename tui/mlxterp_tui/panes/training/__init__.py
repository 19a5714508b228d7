"""A lens in training: its page, its curves, and what can be asked of it."""
