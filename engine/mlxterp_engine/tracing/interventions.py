"""What can be done to an activation, and where.

An operation is a function from an array to an array of the same shape. `Edit` says where it
applies: a site, and of it some heads and some positions, or all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.sites import HEAD_KINDS, Site

import mlx.core as mx

Operation = Callable[[mx.array], mx.array]


def zero_out(x: mx.array) -> mx.array:
    """Zero ablation."""
    return mx.zeros_like(x)


def scale(factor: float) -> Operation:
    """Multiply by a factor."""
    return lambda x: x * mx.array(factor, dtype=x.dtype)


def add_vector(vector: mx.array) -> Operation:
    """Add a vector: [d], or anything that broadcasts to the activation."""
    return lambda x: x + _fitting(vector, x, "add_vector")


def replace_with(value: mx.array | float) -> Operation:
    """Replace by a number, a vector [d], or an activation of the same shape."""

    def replace(x: mx.array) -> mx.array:
        value_ = value if isinstance(value, mx.array) else mx.array(value)
        return mx.broadcast_to(_fitting(value_, x, "replace_with"), x.shape)

    return replace


def clamp(least: float | None = None, most: float | None = None) -> Operation:
    """Limit every entry to [least, most]; None leaves that side open."""
    if least is None and most is None:
        raise BadInput("clamp has neither bound; give least, most, or both")
    if least is not None and most is not None and least > most:
        raise BadInput(f"clamp from {least} to {most} is empty; give the smaller bound first")

    def limit(x: mx.array) -> mx.array:
        return mx.clip(
            x,
            None if least is None else mx.array(least, dtype=x.dtype),
            None if most is None else mx.array(most, dtype=x.dtype),
        )

    return limit


def noise(std: float, seed: int = 0) -> Operation:
    """Add Gaussian noise of this standard deviation; the same draw for the same seed and shape."""
    if std < 0:
        raise BadInput(f"noise's std is {std}; give 0 or more")

    def add(x: mx.array) -> mx.array:
        draw = mx.random.normal(x.shape, key=mx.random.key(seed))
        return x + (draw * std).astype(x.dtype)

    return add


def compose(*operations: Operation) -> Operation:
    """One after the other, the first first."""

    def apply(x: mx.array) -> mx.array:
        for operation in operations:
            x = operation(x)
        return x

    return apply


@dataclass(frozen=True, eq=False)
class Edit:
    """An operation at a site; heads and positions (negative from the end) narrow it down."""

    site: Site
    operation: Operation
    positions: tuple[int, ...] | None = None

    def apply(self, x: mx.array) -> mx.array:
        """x: [batch, pos, d], or [batch, head, pos, d] for sites with heads."""
        if self.site.head is None and self.positions is None:
            return self._checked(self.operation(x), x)
        where = self._selection(x)
        part = x[where]
        edited = mx.array(x)
        edited[where] = self._checked(self.operation(part), part)
        return edited

    def _selection(self, x: mx.array) -> tuple[slice | mx.array, ...]:
        everything = slice(None)
        head: slice | mx.array = everything
        if self.site.head is not None:
            head = slice(self.site.head, self.site.head + 1)
        if self.site.kind not in HEAD_KINDS:
            return (everything, self._position_index(x.shape[1]))
        if self.positions is None:
            return (everything, head)
        return (everything, head, self._position_index(x.shape[2]))

    def _position_index(self, length: int) -> mx.array:
        assert self.positions is not None
        bad = [p for p in self.positions if not -length <= p < length]
        if bad:
            raise BadInput(
                f"position {bad[0]} of the edit at {self.site} is outside the prompt: "
                f"positions go from 0 to {length - 1}"
            )
        return mx.array([p % length for p in self.positions])

    def _checked(self, edited: mx.array, before: mx.array) -> mx.array:
        if not isinstance(edited, mx.array) or edited.shape != before.shape:
            shape = getattr(edited, "shape", type(edited).__name__)
            raise BadInput(
                f"the edit at {self.site} gave {shape} for an activation of {before.shape}; "
                "an operation keeps the shape"
            )
        return edited.astype(before.dtype)


def at_positions(positions: Sequence[int], operation: Operation) -> PositionedOperation:
    """Apply an operation at these positions only."""
    return PositionedOperation(tuple(positions), operation)


@dataclass(frozen=True, eq=False)
class PositionedOperation:
    positions: tuple[int, ...]
    operation: Operation


def edit(site: Site, what: Operation | PositionedOperation) -> Edit:
    """An operation, bare or with positions, at a site."""
    if isinstance(what, PositionedOperation):
        return Edit(site, what.operation, what.positions)
    return Edit(site, what)


def _fitting(value: mx.array, x: mx.array, name: str) -> mx.array:
    try:
        fits = mx.broadcast_shapes(value.shape, x.shape) == tuple(x.shape)
    except ValueError:
        fits = False
    if not fits:
        raise BadInput(
            f"{name} got an array of {value.shape} for an activation of {x.shape}; "
            f"give [{x.shape[-1]}] or that shape"
        )
    return value.astype(x.dtype)
