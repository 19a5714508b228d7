"""What every card's claims have to tell, whatever the paper."""

from __future__ import annotations

from collections.abc import Iterable

from mlxterp_engine.experiments.card import VERDICTS, Claim


def check_told(claims: Iterable[Claim], count: int) -> None:
    """What is measured, by which rule and against what. count: of texts or facts."""
    for claim in claims:
        assert claim.verdict in VERDICTS
        assert claim.ours.n == count
        assert "95 % interval" in claim.rule
        assert len(claim.controls) >= 4
        assert claim.paper.value
        assert claim.measure
