"""Activation patching as one call gives it: how much of the answer each layer brings back.

The names are mlxterp's; the measure is not: there it is a distance of all logits, here the
recovered logit difference of two tokens (Wang et al. 2022, arXiv 2211.00593), in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.resume import Method, TwoRuns, first_different, patched, two_runs
from mlxterp_engine.tracing.sites import Site, SiteTable

import numpy as np
from rich.console import Console
from rich.table import Table

COMPONENTS = {
    "mlp": "mlp_out",
    "attn": "attn_out",
    "mlp_out": "mlp_out",
    "attn_out": "attn_out",
    "resid_pre": "resid_pre",
    "resid_mid": "resid_mid",
    "resid_post": "resid_post",
}
AT_ONCE = 512  # rows times tokens of one evaluation
SMALLEST = 0.05  # logits between both runs' differences: less is nothing to divide by
WIDEST = 40  # cells of a bar


@dataclass(frozen=True)
class Texts:
    """Both prompts in ids, and the two tokens whose logits are compared; None: the runs' own."""

    clean: list[int]
    corrupted: list[int]
    answer: int | None
    wrong: int | None


def kind_of(component: str, position: int | None) -> str:
    """The kind of site. BadInput for others, and for whole residual streams."""
    if component not in COMPONENTS:
        raise BadInput(f"component is {component!r}; give one of {', '.join(COMPONENTS)}")
    kind = COMPONENTS[component]
    if kind.startswith("resid") and position is None:
        raise BadInput(
            f"{component} at all positions at once gives the clean run by construction, 100 % in "
            "every layer; give a position, or component mlp or attn"
        )
    return kind


def recovered(
    net: Any,
    anatomy: Anatomy,
    sites: SiteTable,
    method: Method,
    texts: Texts,
    kind: str,
    layers: Sequence[int],
    position: int | None,
) -> dict[int, float]:
    """{layer: per cent}: 0, the corrupted run's logit difference; 100, the clean one's."""
    _check_lengths(texts)
    places = [Site(kind, layer) for layer in layers]
    for place in places:
        sites.parse(str(place))
    runs = two_runs(net, anatomy, texts.corrupted, texts.clean, places, method)
    answer, wrong = _tokens(texts, runs)
    corrupt, clean = _difference(as_numpy(runs.logits), answer, wrong)
    if not abs(clean - corrupt) >= SMALLEST:
        raise BadInput(
            f"the logit difference is {clean:.4g} in the clean run and {corrupt:.4g} in the "
            "corrupted one, too little to divide by; give prompts that are answered differently"
        )
    found: dict[int, float] = {}
    size = max(1, AT_ONCE // len(texts.clean))
    for start in range(0, len(places), size):
        cells = [Cell(place, position) for place in places[start : start + size]]
        logits = as_numpy(patched(net, anatomy, runs, cells, method).logits)
        shares = (_difference(logits, answer, wrong) - corrupt) / (clean - corrupt)
        found |= zip(layers[start : start + size], (100 * shares).tolist(), strict=True)
    return found


def _check_lengths(texts: Texts) -> None:
    if len(texts.clean) != len(texts.corrupted):
        raise BadInput(
            f"clean_text has {len(texts.clean)} tokens and corrupted_text {len(texts.corrupted)}; "
            "patching goes token by token: choose words that are equally many tokens"
        )
    if first_different(texts.clean, texts.corrupted) == len(texts.clean):
        raise BadInput(
            "clean_text and corrupted_text are the same; change a word in one of them, or put "
            "noise on the subject: run(CausalTracing(…), model)"
        )


def _tokens(texts: Texts, runs: TwoRuns) -> tuple[int, int]:
    """What is compared: the tokens given, else each run's own top token."""
    wrong, answer = (int(i) for i in as_numpy(runs.logits).argmax(axis=-1))
    answer = answer if texts.answer is None else texts.answer
    wrong = wrong if texts.wrong is None else texts.wrong
    if answer == wrong:
        raise BadInput(
            "both runs have the same token on top, or answer and wrong are the same; give an "
            "answer and a wrong one that differ"
        )
    return answer, wrong


def _difference(logits: np.ndarray, answer: int, wrong: int) -> np.ndarray:
    """[row, vocab] -> [row], float64."""
    return logits[:, answer].astype(np.float64) - logits[:, wrong]


def print_recovery(
    found: Mapping[int, float], component: str, console: Console | None = None
) -> None:
    """A line a layer, the last on top, with a bar to both sides of nothing."""
    console = console or Console()
    table = Table(title=f"{component}: logit difference recovered, %")
    table.add_column("layer", justify="right")
    table.add_column("%", justify="right")
    table.add_column("")
    largest = max((abs(value) for value in found.values() if np.isfinite(value)), default=0) or 1
    for layer in sorted(found, reverse=True):
        value = found[layer]
        width = round(abs(value) / largest * WIDEST) if np.isfinite(value) else 0
        table.add_row(str(layer), f"{value:.1f}", ("█" if value > 0 else "░") * width)
    console.print(table)
