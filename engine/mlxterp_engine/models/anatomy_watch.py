"""One forward pass with every module call written down, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlxterp_engine.models.calls import Around, calls_through, first_array, replaced

import mlx.core as mx
import mlx.nn as nn


@dataclass(eq=False)
class Scores:
    """One attention seen: q, k, v of the kernel, or the pattern of a softmax written out.

    at: when it ran, on the clock of `Call.ended`.
    """

    at: int
    q: mx.array | None = None
    k: mx.array | None = None
    v: mx.array | None = None
    pattern: mx.array | None = None


@dataclass(eq=False)
class Call:
    """A module's call: what it was given, what it put out, and the calls that it made."""

    module: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    output: Any = None
    inside: list[Call] = field(default_factory=list)
    kernels: list[Scores] = field(default_factory=list)
    softmaxes: list[Scores] = field(default_factory=list)
    ended: int = 0

    def within(self) -> Iterator[Call]:
        """All calls made during this one, outer before inner."""
        for call in self.inside:
            yield call
            yield from call.within()

    def all_kernels(self) -> list[Scores]:
        return self.kernels + [k for call in self.within() for k in call.kernels]

    def all_softmaxes(self) -> list[Scores]:
        return self.softmaxes + [s for call in self.within() for s in call.softmaxes]

    @property
    def array(self) -> mx.array | None:
        """The first array that the call put out."""
        found = first_array(self.output)
        return found if isinstance(found, mx.array) else None

    @property
    def input(self) -> mx.array | None:
        """The first argument, where that is an array."""
        found = self.args[0] if self.args else None
        return found if isinstance(found, mx.array) else None


@dataclass(eq=False)
class Watched:
    """A pass: its tree, and what the embedding was given where it also served as unembedding."""

    top: Call
    unembedded: mx.array | None

    @cached_property
    def calls(self) -> list[Call]:
        return list(self.top.within())


def watch(net: nn.Module, ids: mx.array) -> Watched:
    """Run `net(ids)` and write every call down; all that the calls put out is evaluated."""
    scribe = _Scribe(Call(net, (ids,)))
    modules: list[Any] = [m for m in net.modules() if m is not net and callable(m)]
    parts = [(module, scribe.around(module)) for module in modules]
    with (
        calls_through(parts, scribe.kernel, scribe.softmax),
        replaced(nn.Embedding, "as_linear", scribe.as_linear),
        replaced(nn.QuantizedEmbedding, "as_linear", scribe.as_linear),
    ):
        scribe.stack[0].output = net(ids)
    watched = Watched(scribe.stack[0], scribe.unembedded)
    mx.eval(watched.top.output, [call.array for call in watched.calls if call.array is not None])
    return watched


class _Scribe:
    def __init__(self, top: Call) -> None:
        self.stack = [top]
        self.clock = 0
        self.unembedded: mx.array | None = None

    def around(self, module: nn.Module) -> Around:
        def note(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            call = Call(module, args, kwargs)
            self.stack[-1].inside.append(call)
            self.stack.append(call)
            try:
                call.output = original(*args, **kwargs)
            finally:
                self.stack.pop()
                call.ended = self._tick()
            return call.output

        return note

    def kernel(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.stack[-1].kernels.append(Scores(self._tick(), *args[:3]))
        return original(*args, **kwargs)

    def softmax(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = original(*args, **kwargs)
        if output.ndim >= 4:  # an expert router's has 3
            self.stack[-1].softmaxes.append(Scores(self._tick(), pattern=output))
        return output

    def as_linear(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.unembedded = args[1]  # after self: as_linear is looked up on the class
        return original(*args, **kwargs)

    def _tick(self) -> int:
        self.clock += 1
        return self.clock
