"""The checks that runs make of themselves, in words."""

from __future__ import annotations

from collections.abc import Mapping

from mlxterp_engine.experiments import Contract
from mlxterp_tui.widgets.contract_strip import Check, short

WORDS = {
    "lens_last_row": "last row = logits",
    "trace_identity": "trace identity",
    "residual_sum": "residual sum",
    "attention_rebuild": "attention rebuild",
    "attention_rows": "attention rows = 1",
    "patch_changes": "patch changes",
    "patch_full": "patch of all",
    "freeze_identity": "frozen = unpatched",
    "resume_equals_full": "resumed = full",
    "attribution_sum": "attribution sum",
    "cache_equals_full": "cache = full",
    "splice_identity": "splice identity",
    "zero_lens": "zero lens = logit lens",
    "lens_gradient": "lens gradient = difference",
    "lens_reads_back": "lens on disk",
    "backward_matches_difference": "gradient = difference",
}

# What every opened model proves of itself: told of each run, behind what the run proves.
OF_THE_MODEL = (
    "trace_identity",
    "lens_last_row",
    "residual_sum",
    "attention_rebuild",
    "backward_matches_difference",
)


def fitting(found: list[Check], room: int) -> list[Check]:
    """Failed ones, and of those that hold as many as stand whole in so many columns."""
    kept: list[Check] = []
    for check in sorted(found, key=lambda check: check.ok):
        room -= len(f"✓ {check.name} {short(check.error)}  ")
        if room >= 0 or not check.ok:
            kept.append(check)
    return kept


def checks(contracts: Mapping[str, Contract]) -> list[Check]:
    """The run's own first."""
    return [
        Check(
            WORDS.get(name, name),
            contracts[name].error,
            contracts[name].tolerance,
            contracts[name].ok,
        )
        for name in sorted(contracts, key=lambda name: name in OF_THE_MODEL)
    ]
