"""The research log: every run recorded, found again, replayed, compared, exported.

Imports neither mlx nor numpy until numbers are compared or written as .npz, so that the screen
and the command line read it themselves. `log.RunLog` is the door; `recording.Recorder` is the
one way in which runs get there.
"""
