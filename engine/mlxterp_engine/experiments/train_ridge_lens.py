"""Fitting a ridge lens: the tuned lens's affine maps by least squares, in seconds."""

from __future__ import annotations

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.train_lens import TrainLens


class TrainRidgeLens(TrainLens, frozen=True, kw_only=True, tag="train-ridge-lens"):
    """Fit a ridge lens: least squares from each layer's states to the last, in closed form.

    It reads steps × tokens_per_step tokens, each sequence of the corpus once at most.
    """

    steps: int = 80

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume:
            raise BadInput("resume is for train-tuned-lens; a ridge lens is fitted in one go")
