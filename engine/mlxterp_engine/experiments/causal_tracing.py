"""Causal tracing (Meng et al. 2022, arXiv 2202.05262): which states carry what the model knows of
a subject?

The subject's embeddings are covered with noise; then, in a run with that noise, one state at a
time is given back the value of the clean run. The map says how likely the answer is then again.
"""

from __future__ import annotations

from typing import Literal, get_args

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import (
    Request,
    check_choice,
    check_number,
    check_prompt,
    check_range,
)

import msgspec

WindowRule = Literal["code", "paper"]
SigmaFrom = Literal["vocabulary", "subjects"]
Sever = Literal["none", "mlp", "attn"]

KNOWN = "known"
SAMPLES = 10  # the paper's draws of noise
LARGEST_NOISE = 1000.0
MAPS = ("hidden", "mlp", "attn")
SEVERED = "hidden_severed"
BUCKETS = ("first subject", "middle subject", "last subject", "first subsequent", "further", "last")
"""Positions of a set's facts by what they are to the subject, as the paper's figure 2 has them."""


class CausalTracing(Request, frozen=True, kw_only=True, tag="causal-tracing"):
    """Noise on the subject, and one clean state at a time given back.

    prompt: what calls for the answer; subject: words of it, verbatim, as they first stand there.
    answer: one token, verbatim; None: the one that the model gives first. facts: a .json file of
    {"prompt", "subject", "answer"}, or `known`, of which the first `count` that the model knows
    are taken instead of these three.
    noise: in standard deviations of the embedding's entries, sigma, which is taken from the whole
    vocabulary or from the subjects' own tokens. samples: draws of noise; None: 10, or as many as
    `noise_file` holds, an .npz with noise [sample, subject token, d_model], which is added as it
    is. noise_levels: other noises whose p(answer) is told too.
    window: how many blocks' mlp_out or attn_out are given back together; None: as much of the
    depth as the paper's 10 of 48 blocks. window_rule, around block l, for 10: code, as the
    authors' program has it, l−5 … l+4; paper, as their text has it, l−4 … l+5.
    sever: also the map of hidden states while the later mlp_out (or attn_out) of that token stay
    as they are under noise.
    resume: take the draws that the very same request had done before it was stopped.
    """

    prompt: str | None = None
    subject: str | None = None
    answer: str | None = None
    noise: float = 3.0
    samples: int | None = None
    window: int | None = None
    window_rule: WindowRule = "code"
    noise_file: str | None = None
    sigma_from: SigmaFrom = "vocabulary"
    sever: Sever = "none"
    noise_levels: list[float] = msgspec.field(default_factory=list)
    facts: str | None = None
    count: int = 30
    resume: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("window_rule", self.window_rule, get_args(WindowRule))
        check_choice("sigma_from", self.sigma_from, get_args(SigmaFrom))
        check_choice("sever", self.sever, get_args(Sever))
        self._check_noise()
        if self.window is not None:
            check_range("window", self.window, 1, 1000)
        check_range("count", self.count, 1, 10_000)
        if self.facts is None:
            self._check_fact()
        else:
            self._check_facts(self.facts)

    @property
    def prompts(self) -> tuple[str, ...]:
        return () if self.prompt is None else (self.prompt,)

    @property
    def about(self) -> str:
        return self.prompt or f"facts of {self.facts}"

    @property
    def background(self) -> bool:
        return self.facts is not None

    def _check_noise(self) -> None:
        _check_level("noise", self.noise)
        for level in self.noise_levels:
            _check_level("noise_levels", level)
        if self.samples is not None:
            check_range("samples", self.samples, 1, 1000)
        if self.noise_file is not None:
            check_prompt("noise_file", self.noise_file)
            if self.noise_levels:
                raise BadInput(
                    "noise_file and noise_levels don't go together: the file's noise is added as "
                    "it is; leave one of them out"
                )

    def _check_fact(self) -> None:
        for name, wanted in _WANTED.items():
            value = getattr(self, name)
            if value is None:
                raise BadInput(f"{name} is missing; {wanted}")
            check_prompt(name, value)
        if self.answer is not None:
            check_prompt("answer", self.answer)

    def _check_facts(self, facts: str) -> None:
        check_prompt("facts", facts)
        alone = ("prompt", "subject", "answer", "noise_file")
        given = [name for name in alone if getattr(self, name) is not None]
        if given:
            raise BadInput(f"{given[0]} and facts don't go together: each fact brings its own")


_WANTED = {
    "prompt": "give the text that calls for the answer, e.g. 'The Space Needle is in the city of'",
    "subject": "give the words of the prompt that noise is added to, e.g. 'Space Needle'",
}


def _check_level(name: str, value: float) -> None:
    check_number(name, value, 0, LARGEST_NOISE)
    if value == 0:
        raise BadInput(f"{name} is {value}, which changes nothing; the paper takes 3")


def default_window(blocks: int) -> int:
    """As much of the depth as 10 of GPT-2 XL's 48 blocks; 1 at least."""
    return max(1, round(10 * blocks / 48))


def window_blocks(block: int, blocks: int, window: int, rule: WindowRule) -> range:
    """The blocks whose outputs are given back together around `block`, cut at both ends.

    code: block − ⌊window/2⌋ … block + ⌈window/2⌉ − 1, as in the authors' causal_trace.py; paper:
    block − ⌊(window − 1)/2⌋ … block + ⌊window/2⌋, which is [l − 4, l + 5] for 10 (appendix B.1).
    They differ by one block where the window is even, and not where it is odd.
    """
    before = window // 2 if rule == "code" else (window - 1) // 2
    return range(max(0, block - before), min(blocks, block - before + window))
