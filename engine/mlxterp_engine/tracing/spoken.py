"""Interventions in words: `blocks.5.mlp_out=zero`, `blocks.10.resid_post=add:v.npz*2.0@new`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from mlxterp_engine.array_files import UNREADABLE
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.interventions import (
    Edit,
    Operation,
    add_vector,
    clamp,
    clamp_along,
    compose,
    noise,
    project_out,
    replace_with,
    scale,
    set_along,
    zero_out,
)
from mlxterp_engine.tracing.positions import Place, Places
from mlxterp_engine.tracing.sites import SiteTable

import mlx.core as mx
import numpy as np

FORMS = (
    "zero, scale:FACTOR, add:FILE.npz*FACTOR, replace:NUMBER or FILE.npz, clamp:LEAST:MOST, "
    "project:FILE.npz, set-along:FILE.npz:VALUE, clamp-along:FILE.npz:LEAST:MOST, noise:STD or "
    "STD:SEED; several joined by +; positions after @: numbers, spans, prompt, new, "
    "e.g. zero@-1,0:4"
)


def parse_edit(text: str, sites: SiteTable) -> Edit:
    """`SITE=OPERATION[+OPERATION...][@POSITIONS]` as an edit of this model."""
    address, equals, words = text.partition("=")
    if not equals or not words:
        raise BadInput(f"intervention {text!r} is not SITE=OPERATION; operations: {FORMS}")
    words, positions = _split_positions(words)
    operations = [_operation(word, text) for word in _JOINT.split(words)]
    operation = operations[0] if len(operations) == 1 else compose(*operations)
    return Edit(
        sites.parse(address),
        operation,
        None if positions is None else _positions(positions, text),
    )


def _split_positions(words: str) -> tuple[str, str | None]:
    """What stands before and after the last @, unless that @ belongs to a file's name."""
    before, at, after = words.rpartition("@")
    if not at or re.search(r"[./\\]", after):
        return words, None
    return before, after


def _operation(words: str, text: str) -> Operation:
    name, _, argument = words.strip().partition(":")
    if name not in _OPERATIONS:
        raise BadInput(f"operation {name!r} in {text!r} is unknown; give {FORMS}")
    return _OPERATIONS[name](argument, text)


def _zero(argument: str, text: str) -> Operation:
    if argument:
        raise BadInput(f"zero in {text!r} takes no value; leave {argument!r} out")
    return zero_out


def _scale(argument: str, text: str) -> Operation:
    return scale(_number(argument, text))


def _add(argument: str, text: str) -> Operation:
    file, times, factor = argument.rpartition(".npz*")
    if not times:
        return add_vector(_vector(argument, text))
    return add_vector(_vector(file + ".npz", text) * _number(factor, text))


def _replace(argument: str, text: str) -> Operation:
    if argument.endswith(".npz"):
        return replace_with(_vector(argument, text))
    return replace_with(_number(argument, text))


def _clamp(argument: str, text: str) -> Operation:
    return clamp(*_bounds(argument, text))


def _project(argument: str, text: str) -> Operation:
    return project_out(_vector(argument, text))


def _set_along(argument: str, text: str) -> Operation:
    file, value = _file_and_more(argument, "VALUE", text)
    return set_along(_vector(file, text), _number(value, text))


def _clamp_along(argument: str, text: str) -> Operation:
    file, bounds = _file_and_more(argument, "LEAST:MOST", text)
    return clamp_along(_vector(file, text), *_bounds(bounds, text))


def _noise(argument: str, text: str) -> Operation:
    std, _, seed = argument.partition(":")
    return noise(_number(std, text), _whole(seed, text) if seed else 0)


_OPERATIONS: dict[str, Callable[[str, str], Operation]] = {
    "zero": _zero,
    "scale": _scale,
    "add": _add,
    "replace": _replace,
    "clamp": _clamp,
    "project": _project,
    "set-along": _set_along,
    "clamp-along": _clamp_along,
    "noise": _noise,
}
# A plus joins where an operation follows; others belong to numbers (1e+3) and names of files.
_JOINT = re.compile(rf"\+(?=\s*(?:{'|'.join(_OPERATIONS)})\s*(?:[:+]|$))")


def _file_and_more(argument: str, more: str, text: str) -> tuple[str, str]:
    """`FILE.npz:MORE` in its two parts."""
    file, found, rest = argument.rpartition(".npz:")
    if not found:
        raise BadInput(f"{argument!r} in {text!r} is not FILE.npz:{more}; give {FORMS}")
    return file + ".npz", rest


def _bounds(words: str, text: str) -> tuple[float | None, float | None]:
    least, colon, most = words.partition(":")
    if not colon:
        raise BadInput(f"bounds {words!r} in {text!r} are not LEAST:MOST; one may be left empty")
    return (
        _number(least, text) if least else None,
        _number(most, text) if most else None,
    )


def _number(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise BadInput(f"{word!r} in {text!r} is not a number; give {FORMS}") from None
    if not np.isfinite(value):
        raise BadInput(f"{word!r} in {text!r} is not finite; give an ordinary number")
    return value


def _whole(word: str, text: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise BadInput(f"seed {word!r} in {text!r} is no whole number; give e.g. 7") from None


def _positions(words: str, text: str) -> Places:
    return tuple(_place(word.strip(), words, text) for word in words.split(","))


def _place(word: str, words: str, text: str) -> Place:
    if word == "prompt" or word == "new":
        return word
    start, colon, stop = word.partition(":")
    try:
        if not colon:
            return int(word)
        return slice(int(start) if start else None, int(stop) if stop else None)
    except ValueError:
        raise BadInput(
            f"positions {words!r} in {text!r} are no whole numbers; give e.g. @0,-1, a span like "
            "@0:4, @prompt or @new"
        ) from None


def _vector(file: str, text: str) -> mx.array:
    """The array `vector` of a .npz file, in float32."""
    path = Path(os.path.expanduser(file))
    try:
        arrays = np.load(path, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("a single array")
        with arrays:
            if "vector" not in arrays:
                raise BadInput(f"{path} holds {', '.join(arrays)}; an array 'vector' is needed")
            vector = arrays["vector"].astype(np.float32)
    except BadInput:
        raise
    except UNREADABLE as error:
        raise BadInput(
            f"{path} in {text!r} is no .npz file ({error}); write one with "
            "numpy.savez(path, vector=v)"
        ) from None
    if not np.isfinite(vector).all():
        raise BadInput(f"the vector of {path} holds values that are not finite; write it again")
    return mx.array(vector)
