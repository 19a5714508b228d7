"""What comes back from an experiment: parts on the way, then one result."""

from __future__ import annotations

from typing import Any

from mlxterp_engine.experiments.array import Array

import msgspec


class Contract(msgspec.Struct, frozen=True):
    """A check that the run made of itself.

    error: max|difference| / max|reference| (probabilities and patterns: max|difference|).
    """

    error: float
    tolerance: float
    ok: bool

    @classmethod
    def of(cls, error: float, tolerance: float) -> Contract:
        """Holds when the error is a number and within the tolerance (NaN never holds)."""
        return cls(float(error), float(tolerance), bool(error <= tolerance))


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is, and where its weights came from."""

    reference: str
    architecture: str
    provenance: str
    sha256: str
    layers: int
    heads: int
    kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    vocab_size: int
    context: int
    parameters: int
    weight_bytes: int
    quantisation: str
    tied: bool
    adds_bos: bool
    has_chat_template: bool
    device: str
    dtype: str
    sites: list[str]
    missing_sites: dict[str, str]
    contracts: dict[str, Contract]


class Price(msgspec.Struct, frozen=True):
    """What a run will cost, said before it starts: forward passes, seconds, peak bytes."""

    passes: float
    seconds: float
    bytes: int


class Step(msgspec.Struct, frozen=True, tag="step"):
    """How far a job is: `done` of `total`, in words of the job's own."""

    done: float
    total: float
    what: str


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The prompts as the model reads them, before anything is computed."""

    token_ids: list[list[int]]
    tokens: list[list[str]]


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to know what a result's numbers mean, and to run it again.

    headline: the finding in one line. figures: its numbers by name, to search and compare by.
    text, texts: what was generated, where something was.
    """

    experiment: dict[str, Any]
    model: ModelCard
    tokens: list[list[str]]
    versions: dict[str, str]
    seed: int
    device: str
    dtype: str
    load_s: float
    elapsed_s: float
    contracts: dict[str, Contract]
    failed_cells: int = 0
    headline: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    text: str | None = None
    texts: list[str] | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """The finished run: `meta`, arrays under the contract's names, and strings beside ids."""

    meta: Meta
    arrays: dict[str, Array]
    strings: dict[str, Any] = msgspec.field(default_factory=dict)
