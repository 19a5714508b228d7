"""What the engine offers in place of a prompt's words: a list to choose from. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlxterp_engine.experiments import Result
from mlxterp_tui.widgets.ranked_list import RankedRow


@dataclass(frozen=True)
class Offer:
    """text: what stands in the span. prompt: the whole prompt with it.

    probability: of the text, behind what stands before it; None at the beginning of a prompt.
    following: by how many nats the next tokens are likelier than behind the span's own words.
    """

    text: str
    prompt: str
    probability: float | None
    following: float

    @property
    def likelihood(self) -> float:
        """Of the text and what follows: what the engine ranks by, up to a constant."""
        return (1.0 if self.probability is None else self.probability) * math.exp(self.following)


def offers_of(result: Result) -> list[Offer]:
    """In the engine's order, likeliest first."""
    arrays, strings = result.arrays, result.strings
    own = float(arrays["original_following_log_prob"].tolist())
    each = zip(
        strings["texts"],
        strings["prompts"],
        arrays["probability"].tolist(),
        arrays["following_log_prob"].tolist(),
        strict=True,
    )
    return [
        Offer(text, prompt, None if math.isnan(probability) else probability, following - own)
        for text, prompt, probability, following in each
    ]


def rows_of(offers: list[Offer]) -> list[RankedRow]:
    """Bars by the likelihood, of which the largest is whole."""
    most = max((offer.likelihood for offer in offers), default=0.0)
    return [
        RankedRow(
            offer.text,
            offer.likelihood / most if most else 0.0,
            "" if offer.probability is None else f"{offer.probability:.2g}",
            f"{offer.following:+.1f} nats".replace("-", "−"),
        )
        for offer in offers
    ]
