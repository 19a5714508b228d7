"""What the engine can be asked to do besides experiments: the same queue runs both."""

from __future__ import annotations

from mlxterp_engine.experiments import AnyRequest, ModelCard, Result
from mlxterp_engine.experiments.card import Card
from mlxterp_engine.experiments.reproductions import entry
from mlxterp_engine.experiments.request import DEFAULT_MODEL, Device, DTypeChoice, check_range

import msgspec


class OpenModel(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="open-model"):
    """Load a model (fetching it when needed) and prove it; the engine keeps it open."""

    model: str = DEFAULT_MODEL
    device: Device = "auto"
    dtype: DTypeChoice = "auto"


class GetModel(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="get-model"):
    """Fetch a catalogue model or a hub id into the cache, without opening it."""

    model: str


class ListModels(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="list-models"):
    """The catalogue, and what of it lies in the cache."""


class Examine(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="doctor"):
    """Device, BLAS, numeric parity, versions, folders."""

    device: Device = "auto"


class Reproduce(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="reproduce"):
    """Repeat a paper's experiments and make its card.

    card: the reproduction's name. out: an absolute folder for card.md, card.json and the
    arrays; None: one beside the research log.
    """

    card: str
    model: str = DEFAULT_MODEL
    fast: bool = False
    seed: int = 0
    device: Device = "auto"
    dtype: DTypeChoice = "auto"
    out: str | None = None

    def __post_init__(self) -> None:
        entry(self.card)
        check_range("seed", self.seed, 0, 2**32 - 1)

    @property
    def about(self) -> str:
        """Which paper, for a line of a list."""
        return entry(self.card).title

    @property
    def background(self) -> bool:
        """Whether it takes so long that others are let in between its parts."""
        return True


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `models list`."""

    reference: str
    architecture: str
    parameters: int
    download_bytes: int
    licence: str
    summary: str
    available: bool
    provenance: str
    path: str | None


class ModelOpened(msgspec.Struct, frozen=True, tag="model-opened"):
    card: ModelCard


class ModelFetched(msgspec.Struct, frozen=True, tag="model-fetched"):
    reference: str
    path: str
    bytes: int
    provenance: str
    sha256: str


class ModelsListed(msgspec.Struct, frozen=True, tag="models-listed"):
    models: list[ModelEntry]


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's page. ok is None where there is nothing to judge."""

    topic: str
    what: str
    value: str
    ok: bool | None = None


class Examined(msgspec.Struct, frozen=True, tag="examined"):
    findings: list[Finding]


class CardMade(msgspec.Struct, frozen=True, tag="card-made"):
    """folder: where card.md, card.json and figures.npz were written."""

    card: Card
    folder: str


Task = AnyRequest | OpenModel | GetModel | ListModels | Examine | Reproduce
Outcome = Result | ModelOpened | ModelFetched | ModelsListed | Examined | CardMade


def in_background(task: Task) -> bool:
    """Whether it takes so long that others are let in between its parts."""
    return bool(getattr(task, "background", False))
