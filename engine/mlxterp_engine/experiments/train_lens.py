"""Training a lens's translators: one affine map a layer, to the final state.

The tuned lens is trained to say what the model says in the end (Belrose et al. 2023, arXiv
2303.08112); the ridge lens is the least-squares map, in closed form.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from mlxterp_engine.experiments.array import Array
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_number, check_range

import msgspec

Optimizer = Literal["sgd", "adam"]
Start = Literal["zero", "ridge"]
PAPER_STEPS = 250
PAPER_TOKENS_PER_STEP = 2**18


class TrainLens(Request, frozen=True, kw_only=True):
    """What both trainings take.

    corpus: text or .jsonl files, or one of `builtin` (CPython's own reference) and `self` (texts
    sampled from the model). dataset: a name that `datasets` can stream, instead of a corpus.
    held_out: files; without any, a part of the corpus is held out. steps and tokens_per_step:
    how much is read (the paper: 250 of 262 144). held_out_tokens: measured on, each
    time. out_dir: the lens's folder; by default a new one in the data folder. resume: go on from
    the checkpoint in out_dir.
    """

    corpus: list[str] = msgspec.field(default_factory=lambda: ["builtin"])
    dataset: str | None = None
    held_out: list[str] = msgspec.field(default_factory=list)
    steps: int = PAPER_STEPS
    tokens_per_step: int = 128
    sequence_length: int = 128
    held_out_tokens: int = 1000
    ridge: float | Literal["auto"] = "auto"
    out_dir: str | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("steps", self.steps, 1, 10_000_000)
        check_range("sequence_length", self.sequence_length, 2, 1_000_000)
        check_range("tokens_per_step", self.tokens_per_step, 1, 2**30)
        check_range("held_out_tokens", self.held_out_tokens, 1, 2**30)
        if self.tokens_per_step < self.sequence_length - 1:
            raise BadInput(
                f"tokens_per_step is {self.tokens_per_step} and a sequence of "
                f"{self.sequence_length} trains on {self.sequence_length - 1}; give at least that"
            )
        if self.ridge != "auto":
            check_number("ridge", self.ridge, 0, 1e30)
        if self.dataset is None and not self.corpus:
            raise BadInput("corpus is empty; give files, 'builtin' or 'self'")
        if self.resume and self.out_dir is None:
            raise BadInput("resume needs out_dir: the folder with the checkpoint")

    @property
    def about(self) -> str:
        return self.dataset or " ".join(self.corpus)

    @property
    def background(self) -> bool:
        return True


class LensStep(msgspec.Struct, frozen=True, kw_only=True, tag="lens-step"):
    """A training step. step: from 1. layers: as in `logit-lens`. loss: [layer], nats, the means
    over the step's tokens before it was taken. gradient_norm: over all translators, before clipping
    at `clip`. tokens: read so far. seconds_left: to the end of the training. epoch: how often the
    training text has been begun, from 1. checkpoint: the last step that is safe on disk, 0 for
    none; saved: when it was written, seconds since the epoch. gradient_norms: [layer], as
    gradient_norm.
    """

    thins: ClassVar[bool] = True

    step: int
    steps: int
    layers: list[int]
    loss: Array
    gradient_norm: float
    clip: float
    learning_rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float
    epoch: int = 1
    checkpoint: int = 0
    saved: float | None = None
    gradient_norms: Array | None = None


class LensEvaluation(msgspec.Struct, frozen=True, kw_only=True, tag="lens-evaluation"):
    """The lens on held-out text after so many steps (0: before the first).

    kl, kl_logit_lens: [layer], nats, means of KL(final ‖ lens) over `held_out_tokens`.
    kl_unigram: the same of a constant prediction, the corpus's own token frequencies.
    """

    thins: ClassVar[bool] = True

    step: int
    steps: int
    layers: list[int]
    kl: Array
    kl_logit_lens: Array
    kl_unigram: float
    held_out_tokens: int
