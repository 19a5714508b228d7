"""A patchscope: its page, its question, and what it read."""
