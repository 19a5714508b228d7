"""The research log: every run recorded, found again, replayed, compared, exported.

Without mlx and numpy, so that the screen and the command line read it themselves.
"""
