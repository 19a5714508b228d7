"""The checks that a run made of itself, each with its measured error."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from mlxterp_engine.experiments import Contract

WORDS = {
    "lens_last_row": "last row = logits",
    "trace_identity": "trace identity",
    "residual_sum": "residual sum",
    "attention_rebuild": "attention rebuild",
    "patch_changes": "patch changes",
    "patch_full": "patch of all",
    "attribution_sum": "attribution sum",
    "cache_equals_full": "cache = full",
    "splice_identity": "splice identity",
    "backward_matches_difference": "gradient = difference",
}


def number(value: float) -> str:
    """One digit is enough for an error: 3e-5, 0."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def failures(contracts: Mapping[str, Contract]) -> list[str]:
    """A sentence for each check that did not hold."""
    return [
        f"{WORDS.get(name, name)} does not hold: error {number(contract.error)}, "
        f"at most {number(contract.tolerance)} is allowed; these numbers are not to be trusted"
        for name, contract in contracts.items()
        if not contract.ok
    ]


def contract_text(contracts: Mapping[str, Contract], room: int) -> Content:
    """As many as fit, failed ones first and as a sentence."""
    broken = failures(contracts)
    if broken:
        return Content.styled(f"✗ {broken[0]}", "$text-error bold").truncate(room, ellipsis=True)
    pieces = [
        Content.assemble(
            ("✓ ", "$text-success"),
            WORDS.get(name, name),
            " ",
            (number(contract.error), "$text-muted"),
        )
        for name, contract in contracts.items()
    ]
    shown = Content("")
    for piece in pieces:
        longer = Content("   ").join([shown, piece]) if len(shown) else piece
        if longer.cell_length > room:
            break
        shown = longer
    return shown
