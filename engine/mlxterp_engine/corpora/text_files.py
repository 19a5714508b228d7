"""Texts out of files: a text file is one text, a .jsonl file one a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.experiments import BadInput

import msgspec

FIELD = "text"
MOST_BYTES = 1 << 30  # of a file that is read whole


def check_file(name: str) -> Path:
    """BadInput for what is not there, is no file, or is too large to be read whole."""
    path = Path(name).expanduser()
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadInput(
            f"corpus {name!r} can't be read ({error.strerror}); give text or .jsonl files, "
            "'builtin' or 'self'"
        ) from None
    if path.is_dir():
        raise BadInput(f"corpus {name!r} is a folder; name the files in it, or give it as dataset")
    if not path.is_file():
        raise BadInput(f"corpus {name!r} is no file; give text or .jsonl files")
    if size > MOST_BYTES:
        raise BadInput(
            f"corpus {name!r} has {size / 1e9:.1f} GB and files are read whole; give it as "
            "dataset, which is read as far as needed"
        )
    return path


def read_file(name: str) -> list[Text]:
    """At least one text, none of them blank. BadInput names the file and what is wrong with it."""
    path = check_file(name)
    found = _lines(path, name) if path.suffix == ".jsonl" else [Text(path.name, _read(path, name))]
    texts = [text for text in found if text.text.strip()]
    if not texts:
        raise BadInput(f"corpus {name!r} is empty; give a file with text in it")
    return texts


def text_field(row: Mapping[str, Any], where: str) -> str:
    """Which field holds the text: `text`, or the only one that holds a string."""
    if FIELD in row:
        return FIELD
    named = [name for name, value in row.items() if isinstance(value, str)]
    if len(named) == 1:
        return named[0]
    there = ", ".join(map(repr, row)) or "none"
    which = f"{len(named)} fields with strings" if named else "no field with a string"
    raise BadInput(f"{where} has {which} (fields: {there}); name the one to read {FIELD!r}")


def text_of(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        said = "is not there" if field not in row else f"is {type(value).__name__}, no string"
        raise BadInput(f"{where}: the field {field!r} {said}; give each row its text")
    return value


def characters(texts: Iterable[Text]) -> int:
    return sum(len(text.text) for text in texts)


def _read(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"corpus {name!r} can't be read ({error.strerror}); give a file that you may read"
        ) from None
    if (place := data.find(0)) >= 0:
        raise BadInput(f"corpus {name!r} is no text: byte {place} is NUL; give a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"corpus {name!r} is no UTF-8 at byte {error.start}; convert it to UTF-8"
        ) from None


def _lines(path: Path, name: str) -> list[Text]:
    rows = [
        (number, _row(line, f"line {number} of corpus {name!r}"))
        for number, line in enumerate(_read(path, name).split("\n"), 1)
        if line.strip()
    ]
    return _texts(rows, path.name, name) if rows else []


def _texts(rows: Sequence[tuple[int, dict[str, Any]]], title: str, name: str) -> list[Text]:
    number, first = rows[0]
    field = text_field(first, f"line {number} of corpus {name!r}")
    return [
        Text(f"{title}, line {n}", text_of(row, field, f"line {n} of corpus {name!r}"))
        for n, row in rows
    ]


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise BadInput(f"{where} is no JSON ({error}); mend it, or name the file .txt") from None
    if not isinstance(row, dict):
        raise BadInput(f'{where} is no object; write {{"text": "…"}}')
    return row
