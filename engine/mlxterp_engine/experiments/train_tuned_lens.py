"""Training a tuned lens (Belrose et al. 2023): what each layer would say if it ended there."""

from __future__ import annotations

from mlxterp_engine.experiments.train_lens import Optimizer, Start, TrainLens


class TrainTunedLens(TrainLens, frozen=True, kw_only=True, tag="train-tuned-lens"):
    """Train a tuned lens: KL(final ‖ lens) by gradient descent, every layer for itself.

    init: from nothing (the logit lens), or from the ridge lens of the same tokens.
    """

    optimizer: Optimizer = "sgd"
    init: Start = "zero"
