"""Patching runs made by hand, small enough to check every number.

Two blocks, four query heads, two key-value heads; three tokens, of which the second differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlxterp_engine.experiments import (
    ActivationPatching,
    Array,
    AttributionPatching,
    CausalTracing,
    Meta,
    ModelCard,
    PatchCells,
    PatchEnds,
    Result,
    Started,
    parameters_of,
)
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.panes.patch.run import PatchRun

from made_lens import floats, ints

CLEAN, CORRUPT = ("The", " cat", " sat"), ("The", " dog", " sat")
CARD = ModelCard(
    reference="made", architecture="made", provenance="made", sha256="0" * 64, layers=2, heads=4,
    kv_heads=2, d_model=8, d_head=2, d_mlp=16, vocab_size=100, context=16, parameters=1,
    weight_bytes=4, quantisation="none", tied=True, adds_bos=False, has_chat_template=False,
    device="cpu", dtype="float32", sites=[], missing_sites={}, contracts={},
)  # fmt: skip
STARTED = Started(token_ids=[[1, 2, 3], [1, 4, 3]], tokens=[[*CLEAN], [*CORRUPT]])
ENDS = PatchEnds(clean_metric=6.0, corrupt_metric=-4.0, first_different=1, method="suffix")


def asked(**fields: Any) -> ActivationPatching:
    given = {"clean": "The cat sat", "corrupt": "The dog sat", "answer": " a", "wrong": " b"}
    return ActivationPatching(**given | {"sites": ["resid_pre", "z", "k"]} | fields)


def traced(**fields: Any) -> CausalTracing:
    given = {"prompt": "The cat sat", "subject": " cat", "answer": " a"}
    return CausalTracing(**given | fields)


def facts(**fields: Any) -> CausalTracing:
    return CausalTracing(facts="known", **fields)


def estimated(**fields: Any) -> AttributionPatching:
    given = {"clean": "The cat sat", "corrupt": "The dog sat", "answer": " a", "wrong": " b"}
    return AttributionPatching(**given | {"sites": ["z", "k"]} | fields)


def cells(
    site: str, layers: Sequence[int], at: Sequence[int], *rows: Sequence[float]
) -> PatchCells:
    return PatchCells(site=site, layers=[*layers], at=[*at], values=matrix(*rows))


def matrix(*rows: Sequence[float]) -> Array:
    return floats([value for row in rows for value in row], len(rows), len(rows[0]))


def scalar(value: float) -> Array:
    return Array("float32", (), floats([value]).data)


def result(
    request: Request,
    arrays: Mapping[str, Array],
    tokens: Sequence[Sequence[str]] = (CLEAN, CORRUPT),
    strings: Mapping[str, Any] | None = None,
    figures: Mapping[str, float] | None = None,
) -> Result:
    meta = Meta(
        experiment=parameters_of(request), model=CARD, tokens=[[*row] for row in tokens],
        versions={}, seed=0, device="cpu", dtype="float32", load_s=0.0, elapsed_s=0.1,
        contracts={}, figures=dict(figures or {}),
    )  # fmt: skip
    return Result(meta=meta, arrays=dict(arrays), strings=dict(strings or {}))


def begun(request: Request | None = None) -> PatchRun:
    """Both prompts are read and both ends are known, and no cell."""
    return PatchRun(request or asked()).with_parts([STARTED, ENDS], CARD)


ENDS_OF_RESULT = {"clean_metric": scalar(6.0), "corrupt_metric": scalar(-4.0)}


def exact(*rows: tuple[int, int, int, float, float]) -> dict[str, Array]:
    """rows: site, layer, at, estimate, effect."""
    site, layer, at, estimate, effect = zip(*rows, strict=True)
    return {
        "exact_site": ints(site),
        "exact_layer": ints(layer),
        "exact_at": ints(at),
        "exact_estimate": floats(estimate),
        "exact_effect": floats(effect),
    }
