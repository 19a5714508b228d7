"""What the log keeps of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from mlxterp_engine.experiments import BadInput, Contract, ModelCard, Price

import msgspec

RunState = Literal["running", "done", "cancelled", "failed"]
LONGEST_TAG = 60


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Each tag once, in the order given. BadInput for what can't be a tag."""
    for tag in tags:
        if not tag.strip() or tag != tag.strip() or not tag.isprintable():
            raise BadInput(f"{tag!r} can't be a tag; give a word or a few, without line breaks")
        if len(tag) > LONGEST_TAG:
            raise BadInput(f"the tag {tag[:20]!r}… has {len(tag)} letters; at most {LONGEST_TAG}")
    return tuple(dict.fromkeys(tags))


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the asker says of a run before it starts.

    hypothesis: what is expected, so that the outcome can be held against it. parent: the run
    that this one came from (a replay's original, the run whose cell was followed up).
    """

    hypothesis: str = ""
    parent: int | None = None
    tags: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        checked_tags(self.tags)


NOTHING_SAID = Recording()


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a line of the list. created: seconds since the epoch.

    broken: one of its contracts failed, or a cell did: the list says so in red.
    """

    id: int
    experiment: str
    model: str
    created: float
    state: RunState
    headline: str
    tags: tuple[str, ...] = ()
    prompt: str = ""
    note: str = ""
    parent: int | None = None
    broken: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to judge a run and to run it again.

    request: the parameters, experiment's name first, as `request_from` reads them. figures:
    the headline numbers by name. seconds: of the computation alone. result_sha256: over names,
    dtypes, shapes and bytes of the arrays. kept: what of a cancelled run is there, in words.
    folder: where the request's relative paths begin. deleted: when it was hidden, if it is.
    outcome: what came out, held against the hypothesis by whoever ran it.
    """

    id: int
    request: dict[str, Any]
    state: RunState
    created: float
    folder: str = "/"
    ended: float | None = None
    deleted: float | None = None
    reason: str = ""
    kept: str = ""
    model: ModelCard | None = None
    tokens: list[list[str]] = msgspec.field(default_factory=list)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    price: Price | None = None
    load_s: float = 0.0
    seconds: float = 0.0
    contracts: dict[str, Contract] = msgspec.field(default_factory=dict)
    failed_cells: int = 0
    headline: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    result_sha256: str = ""
    result_bytes: int = 0
    parent: int | None = None
    hypothesis: str = ""
    outcome: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
