"""A request as the command line that asks it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from mlxterp_engine.experiments import EXPERIMENTS
from mlxterp_engine.experiments.registry import CARD
from mlxterp_engine.worker.tasks import Reproduce

import msgspec


def command(request: Mapping[str, Any]) -> str:
    """`mlxterp-tui run logit-lens --prompt '…'`, for bash and zsh; defaults are left out."""
    if request["name"] == CARD:
        words, kind = ["mlxterp-tui reproduce", str(request["card"])], Reproduce
    else:
        words, kind = ["mlxterp-tui run", str(request["name"])], EXPERIMENTS[request["name"]]
    for field in msgspec.structs.fields(kind):
        if field.name == "card":
            continue
        value = request.get(field.name, None)
        if value is not None and value != _default(field):
            words += _option(field.name, value)
    return " ".join(words)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _option(name: str, value: Any) -> Iterator[str]:
    option = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        yield option if value else option.replace("--", "--no-", 1)
    elif isinstance(value, list) and all(isinstance(item, int) for item in value):
        yield _given(option, ",".join(map(str, value)))
    elif isinstance(value, list):
        yield from (_given(option, item) for item in value)
    else:
        yield _given(option, value)


def _given(option: str, value: Any) -> str:
    """What begins with a dash would be taken for another option."""
    text = str(value)
    return f"{option}{'=' if text.startswith('-') else ' '}{_word(text)}"


def _word(text: str) -> str:
    """Quoted; with `$'…'` where there are characters that a terminal would act on."""
    if text.isprintable():
        return shlex.quote(text)
    inner = "".join(map(_inner, text))
    return f"$'{inner}'"


def _inner(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
