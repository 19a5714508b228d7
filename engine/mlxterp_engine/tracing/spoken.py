"""Interventions in words: `blocks.5.mlp_out=zero`, `blocks.10.resid_post=add:v.npz*2.0`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.interventions import (
    Edit,
    Operation,
    add_vector,
    clamp,
    compose,
    noise,
    replace_with,
    scale,
    zero_out,
)
from mlxterp_engine.tracing.sites import SiteTable

import mlx.core as mx
import numpy as np

FORMS = (
    "zero, scale:FACTOR, add:FILE.npz*FACTOR, replace:NUMBER or FILE.npz, clamp:LEAST:MOST, "
    "noise:STD or STD:SEED; several joined by +; positions after @, e.g. zero@-1,-2"
)


def parse_edit(text: str, sites: SiteTable) -> Edit:
    """`SITE=OPERATION[+OPERATION...][@POSITIONS]` as an edit of this model."""
    address, equals, words = text.partition("=")
    if not equals or not words:
        raise BadInput(f"intervention {text!r} is not SITE=OPERATION; operations: {FORMS}")
    words, at, positions = words.partition("@")
    operations = [_operation(word, text) for word in re.split(r"\+(?![0-9])", words)]
    operation = operations[0] if len(operations) == 1 else compose(*operations)
    return Edit(sites.parse(address), operation, _positions(positions, text) if at else None)


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
    file, _, factor = argument.partition("*")
    return add_vector(_vector(file, text) * (_number(factor, text) if factor else 1.0))


def _replace(argument: str, text: str) -> Operation:
    if argument.endswith(".npz"):
        return replace_with(_vector(argument, text))
    return replace_with(_number(argument, text))


def _clamp(argument: str, text: str) -> Operation:
    least, _, most = argument.partition(":")
    return clamp(
        _number(least, text) if least else None,
        _number(most, text) if most else None,
    )


def _noise(argument: str, text: str) -> Operation:
    std, _, seed = argument.partition(":")
    return noise(_number(std, text), int(_number(seed, text)) if seed else 0)


_OPERATIONS: dict[str, Callable[[str, str], Operation]] = {
    "zero": _zero,
    "scale": _scale,
    "add": _add,
    "replace": _replace,
    "clamp": _clamp,
    "noise": _noise,
}


def _number(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise BadInput(f"{word!r} in {text!r} is not a number; give {FORMS}") from None
    if not np.isfinite(value):
        raise BadInput(f"{word!r} in {text!r} is not finite; give an ordinary number")
    return value


def _positions(words: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words.split(","))
    except ValueError:
        raise BadInput(
            f"positions {words!r} in {text!r} are not whole numbers; give e.g. @0,-1"
        ) from None


def _vector(file: str, text: str) -> mx.array:
    path = Path(file).expanduser()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "vector" not in arrays:
                raise BadInput(f"{path} holds {', '.join(arrays)}; an array 'vector' is needed")
            return mx.array(arrays["vector"].astype(np.float32))
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"{path} in {text!r} is no .npz file ({error}); write one with "
            "numpy.savez(path, vector=v)"
        ) from None
