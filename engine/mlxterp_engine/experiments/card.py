"""The card of a reproduction, and its shape in `card.json`. Without mlx and numpy."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from mlxterp_engine.experiments import Contract

import msgspec

Verdict = Literal["same shape", "same direction", "not reproduced", "not comparable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """What was published. value: as printed, or as near as its provenance allows.

    provenance: "paper" where the text was read for this card, "memory" where the figure is
    quoted from memory and wants checking before it is quoted on.
    """

    source: str
    model: str
    value: str
    provenance: Literal["paper", "memory"] = "paper"


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured here. interval: 95 %, bootstrapped over the n texts.

    value and interval are None where they could not be computed.
    """

    model: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    seed: int
    unit: str
    draws: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of a paper, and what became of it here.

    measure: what the figure is, precisely. controls: figures that say whether it could have come
    about otherwise, by name, the unit in the name. rule: how the verdict follows from the
    figures; reason: how it did this time.
    """

    name: str
    claim: str
    measure: str
    paper: Paper
    ours: Ours
    controls: dict[str, float | str | None]
    rule: str
    verdict: Verdict
    reason: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A figure by layer: -1 is the embeddings, l `resid_post` of block l. None: not known.

    chart: curves of one chart are drawn side by side, on one scale; "" stands alone.
    """

    title: str
    unit: str
    layers: list[int]
    values: list[float | None]
    chart: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A reproduction that was made. runs: ids in the research log; run: the card's own there.

    created: seconds since the epoch. data: the texts, in a sentence; tokens: how many tokens
    the figures are means over. trouble: what of the log could not be written.
    """

    name: str
    title: str
    claims: list[Claim]
    runs: list[int]
    elapsed_s: float
    run: int | None
    created: float
    fast: bool
    seed: int
    model: str
    architecture: str
    sha256: str
    device: str
    dtype: str
    versions: dict[str, str]
    data: str
    texts: int
    tokens: int
    contracts: dict[str, Contract]
    curves: list[Curve] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    trouble: str = ""

    @property
    def command(self) -> str:
        """Makes the same card again."""
        words = ["mlxterp-tui", "reproduce", self.name, "--model", self.model]
        words += ["--seed", str(self.seed), *(["--fast"] if self.fast else [])]
        return shlex.join(words)

    @property
    def headline(self) -> str:
        return verdicts_in_words(self.claims)


def verdicts_in_words(claims: Sequence[Claim]) -> str:
    """`1 same shape, 2 not reproduced`."""
    counts = Counter(claim.verdict for claim in claims)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def card_from(data: bytes) -> Card:
    """What `card.json` holds. Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Card)


def card_json(card: Card) -> bytes:
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
