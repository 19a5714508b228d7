"""A request as the command line that asks it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlxterp_engine.experiments import EXPERIMENTS
from mlxterp_engine.experiments.registry import CARD
from mlxterp_engine.worker.tasks import Reproduce

import msgspec


def command(request: Mapping[str, Any]) -> str:
    """`mlxterp-tui run logit-lens --prompt '…'`, for bash and zsh; defaults are left out.

    Of the experiments of this version, and of a paper's card.
    """
    if request["name"] == CARD:
        words = ["mlxterp-tui reproduce", _word(str(request["card"]))]
        return " ".join([*words, *_options(request, Reproduce, apart=("card", "out"))])
    words = ["mlxterp-tui run", str(request["name"])]
    return " ".join([*words, *_options(request, EXPERIMENTS[request["name"]])])


def _options(
    request: Mapping[str, Any], kind: type[msgspec.Struct], apart: Sequence[str] = ()
) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        value = request.get(field.name)
        if field.name not in apart and value is not None and value != _default(field):
            yield from _option(field.name, value)


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
