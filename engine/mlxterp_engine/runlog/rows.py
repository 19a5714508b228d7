"""Between the database's rows and what the log tells of a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from mlxterp_engine.experiments import AnyPart, Meta, ModelCard, Price, Request, Started, Step
from mlxterp_engine.experiments.registry import parameters_of
from mlxterp_engine.runlog.record import Recording, RunLine, RunRecord

import msgspec

LONGEST_PROMPT = 200  # characters of it in a line of the list

LINE = (
    "id, experiment, model, created, state, headline, tags, "
    f"substr(prompt, 1, {LONGEST_PROMPT}), note, parent, broken"
)
RECORD = (
    "runs.id, state, created, ended, deleted, reason, kept, headline, result_sha256, "
    "result_bytes, parent, hypothesis, outcome, note, tags, began, meta"
)


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run before anything is computed. subject: see `Request.about`."""

    request: dict[str, Any]
    folder: str
    price: Price | None = None
    model: ModelCard | None = None
    tokens: list[list[str]] = msgspec.field(default_factory=list)
    subject: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The same with what the asker said: lies in each result file, to make a log anew from."""

    created: float
    began: Began
    recording: Recording


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
began_of = msgspec.msgpack.Decoder(Began).decode
told_of = msgspec.msgpack.Decoder(Told).decode
meta_of = msgspec.msgpack.Decoder(Meta).decode
strings_of = msgspec.msgpack.Decoder(dict[str, Any]).decode
parts_of = msgspec.msgpack.Decoder(list[Started | Step | AnyPart]).decode


def began(
    request: Request, folder: str, price: Price | None, model: ModelCard | None, tokens: Any
) -> Began:
    return Began(
        request=parameters_of(request),
        folder=folder,
        price=price,
        model=model,
        tokens=tokens,
        subject=request.about,
    )


def line(row: tuple[Any, ...]) -> RunLine:
    """From the columns of LINE."""
    run, experiment, model, created, state, headline, tags, prompt, note, parent, broken = row
    return RunLine(
        id=run,
        experiment=experiment,
        model=model,
        created=created,
        state=state,
        headline=headline,
        tags=tags_of(tags),
        prompt=prompt,
        note=note,
        parent=parent,
        broken=bool(broken),
    )


def record(row: sqlite3.Row) -> RunRecord:
    """From the columns of RECORD."""
    before = began_of(row["began"])
    meta = meta_of(row["meta"]) if row["meta"] is not None else None
    same = ("id", "state", "created", "ended", "deleted", "reason", "kept", "headline", "parent")
    said = ("result_sha256", "result_bytes", "hypothesis", "outcome", "note")
    return RunRecord(
        **{name: row[name] for name in (*same, *said)},
        tags=tags_of(row["tags"]),
        request=before.request,
        folder=before.folder,
        price=before.price,
        model=meta.model if meta else before.model,
        tokens=meta.tokens if meta else before.tokens,
        **(_found(meta) if meta else {}),
    )


def words(before: Began, recording: Recording, outcome: str, headline: str, reason: str) -> str:
    """All that a search looks through, in one case."""
    model = before.model.architecture if before.model else ""
    said = (recording.hypothesis, recording.note, *recording.tags)
    return "\n".join(
        [*_strings(before.request), model, *said, outcome, headline, reason]
    ).casefold()


def tags_of(column: str) -> tuple[str, ...]:
    return tuple(column.split("\n")) if column else ()


def tags_column(tags: Iterable[str]) -> str:
    return "\n".join(tags)


def _found(meta: Meta) -> dict[str, Any]:
    return {
        "versions": meta.versions,
        "load_s": meta.load_s,
        "seconds": meta.elapsed_s,
        "contracts": meta.contracts,
        "failed_cells": meta.failed_cells,
        "figures": meta.figures,
    }


def _strings(value: Any) -> Iterator[str]:
    """Every text in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)
