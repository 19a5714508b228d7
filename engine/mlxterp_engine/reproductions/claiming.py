"""From an estimate and its rule to a claim of a card, the same way on every card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlxterp_engine.bootstrap import Estimate
from mlxterp_engine.experiments.card import Claim, Ours, Paper
from mlxterp_engine.reproductions.rules import Rule

import numpy as np

LEAST_BLOCKS = 8  # with fewer, a depth is coarser than what the rules allow

Controls = Mapping[str, float | str]


@dataclass(frozen=True)
class Setting:
    """What every claim is said of. tied: whether the unembedding is the embedding. blocked: why
    no verdict can be given; "" where one can."""

    model: str
    tied: bool
    seed: int
    blocked: str = ""


@dataclass(frozen=True)
class Said:
    """What a paper says. measure: what our figure is, precisely; unit: its unit."""

    name: str
    claim: str
    paper: Paper
    measure: str
    unit: str


def claim(
    said: Said,
    found: Estimate,
    rule: Rule,
    controls: Controls,
    setting: Setting,
    unfit: str = "",
) -> Claim:
    """unfit: why this model is none on which the claim could be judged; "" when it is one."""
    blocked = setting.blocked or unfit
    return Claim(
        name=said.name,
        claim=said.claim,
        measure=said.measure,
        paper=said.paper,
        ours=_ours(found, said.unit, setting),
        controls={name: plain(value) for name, value in controls.items()},
        rule=rule.words,
        verdict="not comparable" if blocked else rule.verdict(found),
        reason=blocked or rule.reason(found),
    )


def too_few(blocks: int) -> str:
    if blocks >= LEAST_BLOCKS:
        return ""
    return f"{blocks} blocks are too few to place anything in depth ({LEAST_BLOCKS} do)"


def named(rows: Sequence[int] | np.ndarray) -> str:
    """Rows in words: `none`, `embeddings, blocks 0-3, 7`."""
    if not len(rows):
        return "none"
    words = ["embeddings"] if rows[0] == 0 else []
    blocks = [int(row) - 1 for row in rows if row > 0]
    runs: list[list[int]] = []
    for block in blocks:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    spans = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    if spans:
        words.append(("blocks " if len(blocks) > 1 else "block ") + ", ".join(spans))
    return ", ".join(words)


def number(value: float) -> float | None:
    """None for what is not finite."""
    return float(value) if np.isfinite(value) else None


def plain(value: float | str) -> float | str | None:
    return value if isinstance(value, str) else number(value)


def _ours(found: Estimate, unit: str, setting: Setting) -> Ours:
    return Ours(
        model=setting.model,
        value=found.value if found.known else None,
        interval=(found.low, found.high) if found.known else None,
        n=found.n,
        seed=setting.seed,
        unit=unit,
        draws=found.draws,
    )
