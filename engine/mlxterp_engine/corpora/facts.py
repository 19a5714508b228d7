"""Facts to trace: a prompt, the subject in it, and the word that it calls for.

`known` is the selection that comes along, from the known_1000 facts of Meng et al. 2022 (arXiv
2202.05262); their own file, known_1000.json, can be read too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mlxterp_engine.experiments.causal_tracing import KNOWN
from mlxterp_engine.experiments.errors import BadInput

import msgspec

FILE = Path(__file__).parent / "known_facts" / "facts.json"
EXAMPLE = (
    '{"prompt": "Yangtze belongs to the continent of", "subject": "Yangtze", "answer": "Asia"}'
)


@dataclass(frozen=True)
class Fact:
    """answer: as it stands behind the prompt, its leading space included. relation: "" where it
    is not said; of Wikidata, P36 is the capital."""

    prompt: str
    subject: str
    answer: str
    relation: str = ""


class Facts(NamedTuple):
    """source: where they come from, in words."""

    source: str
    facts: list[Fact]


def read_facts(name: str) -> Facts:
    """`known`, a .json file (a list, or {"facts": [...]}), or one of an object a line.

    BadInput names the file and the fact that is wrong. An answer gets a space in front, unless it
    has one or the prompt ends with one.
    """
    return _known() if name == KNOWN else _read(Path(os.path.expanduser(name)))


@cache
def _known() -> Facts:
    return _read(FILE)


def _read(path: Path) -> Facts:
    found, source = _objects(path, _text(path))
    if not found:
        raise BadInput(f"{path} holds no facts; give a list of such as {EXAMPLE}")
    return Facts(source, [_fact(path, n, one) for n, one in enumerate(found, start=1)])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise BadInput(
            f"{path} can't be read ({reason}); give a .json or .jsonl file, or {KNOWN}"
        ) from None


def _objects(path: Path, text: str) -> tuple[Sequence[Any], str]:
    """The facts as they stand in the file, and the file's own word on where they come from."""
    lines = [line for line in text.split("\n") if line.strip()]
    whole = _json(path, text) if path.suffix != ".jsonl" else [_json(path, one) for one in lines]
    source = str(path)
    if isinstance(whole, dict) and "facts" in whole:
        source = str(whole.get("source", path))
        whole = whole["facts"]
    if not isinstance(whole, list):
        raise BadInput(f"{path} is no list of facts; give a list of such as {EXAMPLE}")
    return whole, source


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no JSON ({error}); give a list of such as {EXAMPLE}") from None


class _Written(msgspec.Struct, frozen=True):
    """A fact in a file. attribute, relation_id: as known_1000.json calls answer and relation."""

    prompt: str
    subject: str
    answer: str | None = None
    attribute: str | None = None
    relation: str = ""
    relation_id: str = ""


def _fact(path: Path, number: int, found: Any) -> Fact:
    try:
        one = msgspec.convert(found, _Written)
    except msgspec.ValidationError as error:
        raise BadInput(f"fact {number} of {path} is none ({error}); give {EXAMPLE}") from None
    answer = one.answer or one.attribute
    if not (answer and answer.strip() and one.prompt and one.subject):
        empty = "prompt" if not one.prompt else "subject" if not one.subject else "answer"
        raise BadInput(f"fact {number} of {path} has no {empty}; give {EXAMPLE}")
    return Fact(
        one.prompt, one.subject, _behind(one.prompt, answer), one.relation or one.relation_id
    )


def _behind(prompt: str, answer: str) -> str:
    spaced = answer[0].isspace() or prompt[-1].isspace()
    return answer if spaced else f" {answer}"
