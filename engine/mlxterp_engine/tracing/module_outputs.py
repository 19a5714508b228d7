"""What modules put out in one pass, recorded by their path.

A module's output is known where it ran once and gave an array; of several things (a state, a
cache) the first is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.calls import Around, calls_through, first_array
from mlxterp_engine.tracing.addresses import Addresses, ModulePath

import mlx.core as mx

_ALL = slice(None)


class ModuleOutputs:
    """Outputs by path, lazy, mostly [batch, pos, ...]: what the model goes on with."""

    def __init__(self, addresses: Addresses, record: Sequence[ModulePath], tokens: int) -> None:
        """tokens: of the longest prompt."""
        self.outputs: dict[str, mx.array] = {}
        self._addresses = addresses
        self._record = {place.path for place in record}
        self._tokens = tokens
        self._calls: Counter[str] = Counter()
        self._uncut: frozenset[str] = frozenset()

    def during(self, net: Callable[..., Any]) -> Callable[..., Any]:
        """The net, watched: within all other hooks' run, so that every edit has been made."""
        if not self._record:
            return net

        def watched(*args: Any, **kwargs: Any) -> Any:
            with calls_through(self._addresses.hooks(self._record, self._recording)):
                logits = net(*args, **kwargs)
            self._forget_repeated()
            return logits

        return watched

    def output(self, path: str) -> mx.array:
        """What was recorded of a module. BadInput says why there is nothing."""
        if path not in self.outputs:
            raise BadInput(self._why_not(path))
        return self.outputs[path]

    def row(self, number: int, length: int) -> ModuleOutputs:
        """Those of one prompt of a batch, cut to its tokens: a batch axis of 1."""
        alone, own = copy(self), slice(length)
        axes = {p: position_axis(a, self._tokens) for p, a in self.outputs.items()}
        alone.outputs = {
            path: self.outputs[path][(slice(number, number + 1), *[_ALL] * (axis - 1), own)]
            for path, axis in axes.items()
            if axis is not None
        }
        alone._uncut = frozenset(p for p, axis in axes.items() if axis is None)
        return alone

    def _why_not(self, path: str) -> str:
        if path in self._uncut:
            return f"{path} has no axes of batch and positions to cut one prompt from"
        if path not in self._record:
            return f"{path} was not recorded; name it in sites= of this trace"
        if self._calls[path] == 1:
            return f"{path} put out no array"
        return ran(path, self._calls[path])

    def _recording(self, paths: list[str]) -> Around:
        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = original(*args, **kwargs)
            self._calls.update(paths)
            value = first_array(output)
            if isinstance(value, mx.array):
                self.outputs.update(dict.fromkeys(paths, value))
            return output

        return around

    def _forget_repeated(self) -> None:
        for path, count in self._calls.items():
            if count > 1:
                self.outputs.pop(path, None)


def ran(path: str, count: int) -> str:
    """Words for a module that did not run once."""
    if count == 0:
        return f"{path} never ran in this pass"
    return f"{path} ran {count} times in this pass, so that no one output is its own"


def position_axis(output: mx.array, tokens: int) -> int | None:
    """Which axis of an output is that of positions; None where that can't be told.

    Batch is the first and width the last, so it is the one between them that is as long as the
    longest prompt: heads, too, may lie there.
    """
    if not mx.issubdtype(output.dtype, mx.floating):
        return None
    found = [axis for axis in range(1, output.ndim - 1) if output.shape[axis] == tokens]
    return found[0] if len(found) == 1 else None
