"""What activation patching and attribution patching have in common: two prompts, sites, a metric.

The map says how far each place's activation moves the metric from one run's towards the other's:
(m − m_unpatched) / (m_source − m_unpatched). 0: nothing moved; 1: all of the way; not clipped.
"""

from __future__ import annotations

from typing import Literal, get_args

from mlxterp_engine.experiments.array import Array
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_choice, check_prompt, check_range

import msgspec

Metric = Literal["logit-diff", "prob", "kl"]
Direction = Literal["denoise", "noise"]
Aligning = Literal["exact", "spans"]

BY_POSITION = ("resid_pre", "attn_out", "mlp_out")
BY_HEAD = ("z", "q", "k", "v", "pattern")
SITES = BY_POSITION + BY_HEAD
KINDS = {name: name if name in BY_POSITION else f"attn.{name}" for name in SITES}
"""The kind of site, as addresses call it, by the name that its array has here."""


class PairRequest(Request, frozen=True, kw_only=True):
    """Two prompts of equally many tokens, which differ in what matters; or a set of such pairs.

    clean, corrupt: the prompts. answer: the token that the clean prompt calls for; wrong: the one
    that the corrupt prompt does; verbatim, one token each. pairs: a .jsonl file of {"clean",
    "corrupt", "answer", "wrong"}, or `ioi`, instead of these four; count: how many of them.
    pad: a token that fills the shorter of two stretches that differ, in front, where the prompts
    are not of one length; without it such prompts are refused.
    metric, of the last position: logit-diff, the logit of answer minus that of wrong; prob, the
    probability of answer; kl, KL(clean ‖ run) in nats.
    """

    clean: str | None = None
    corrupt: str | None = None
    answer: str | None = None
    wrong: str | None = None
    pairs: str | None = None
    count: int = 20
    pad: str | None = None
    metric: Metric = "logit-diff"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("metric", self.metric, get_args(Metric))
        if self.pairs is None:
            self._check_prompts()
        else:
            self._check_pairs(self.pairs)
        check_range("count", self.count, 1, 10_000)
        if self.pad is not None:
            check_prompt("pad", self.pad)

    @property
    def prompts(self) -> tuple[str, ...]:
        if self.clean is None or self.corrupt is None:
            return ()
        return (self.clean, self.corrupt)

    @property
    def about(self) -> str:
        return self.clean or f"pairs of {self.pairs}"

    def _check_prompts(self) -> None:
        for name in ("clean", "corrupt", *self._tokens()):
            value = getattr(self, name)
            if value is None:
                raise BadInput(f"{name} is missing; {_WANTED[name]}")
            check_prompt(name, value)
        if self.answer is not None and self.answer == self.wrong:
            raise BadInput(f"answer and wrong are both {self.answer!r}; they have to differ")

    def _check_pairs(self, pairs: str) -> None:
        check_prompt("pairs", pairs)
        given = [n for n in ("clean", "corrupt", "answer", "wrong") if getattr(self, n) is not None]
        if given:
            raise BadInput(f"{given[0]} and pairs don't go together: the pairs bring their own")

    def _tokens(self) -> tuple[str, ...]:
        """The answers that the metric is about."""
        return {"logit-diff": ("answer", "wrong"), "prob": ("answer",), "kl": ()}[self.metric]


class Patching(PairRequest, frozen=True, kw_only=True):
    """Two prompts, and the sites that are patched from one into the other.

    sites: of resid_pre, attn_out and mlp_out each block at each position; of z, q and pattern
    each query head, of k and v each key-value head, at all positions at once.
    """

    sites: list[str] = msgspec.field(default_factory=lambda: [*BY_POSITION, "z"])

    def __post_init__(self) -> None:
        super().__post_init__()
        for site in self.kinds:
            check_choice("sites", site, SITES)
        if not (self.kinds or self.names_others) or len(set(self.kinds)) < len(self.kinds):
            raise BadInput(f"sites is {self.sites}; name one at least, and each once")

    @property
    def names_others(self) -> bool:
        """Whether other places than `sites` are patched, so that there may be none of these."""
        return False

    @property
    def kinds(self) -> list[str]:
        """The sites one by one: on a command line they may be joined by commas."""
        return [name for names in self.sites for name in names.split(",") if name]


_WANTED = {
    "clean": "give the prompt that calls for the answer",
    "corrupt": "give a prompt of equally many tokens that calls for another",
    "answer": "give the token that the clean prompt calls for, e.g. ' Mary'",
    "wrong": "give the token that the corrupt prompt calls for, or another metric (prob, kl)",
}


class PatchEnds(msgspec.Struct, frozen=True, kw_only=True, tag="patch-ends"):
    """The metric of both runs as they are: the ends of the scale.

    first_different: the first position where the prompts differ; before it every cell is 0.
    method: how patched runs are computed (suffix, restart or full). resumed: cells that a stopped
    run of the same request had computed; they are told again first.
    """

    clean_metric: float
    corrupt_metric: float
    first_different: int
    method: str
    resumed: int = 0


class PatchCells(msgspec.Struct, frozen=True, kw_only=True, tag="patch-cells"):
    """Some cells of one site's map. at: positions, heads or key-value heads. values: [layer, at].

    Of z_pos: values [layer, position, head], `layers` the blocks' own numbers, at positions.
    """

    site: str
    layers: list[int]
    at: list[int]
    values: Array
