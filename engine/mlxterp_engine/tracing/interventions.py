"""What can be done to an activation, and where.

An operation is a function from an array to an array of the same shape. `Edit` says where it
applies: a site, and of it some heads or neurons and some positions, or all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.positions import Place, Places, absolute, places, rows
from mlxterp_engine.tracing.sites import HEAD_KINDS, Site

import mlx.core as mx

Operation = Callable[[mx.array], mx.array]


@runtime_checkable
class AtPositions(Protocol):
    """An operation that does something else at each position of the sequence."""

    def at(self, positions: Sequence[int]) -> Operation:
        """The operation for an activation whose axis -2 holds these positions."""
        ...


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


def clamp(min_val: float | None = None, max_val: float | None = None) -> Operation:
    """Limit every entry to [min_val, max_val]; None leaves that side open."""
    _check_bounds("clamp", min_val, max_val)
    return lambda x: _limited(x, min_val, max_val)


def project_out(direction: mx.array) -> Operation:
    """Take away the part along a direction [d] of any length: x - (x · u) u, u of length 1."""
    return _along("project_out", direction, mx.zeros_like)


def set_along(direction: mx.array, value: float) -> Operation:
    """Make the coordinate along a direction [d] this value: x + (value - x · u) u.

    The coordinate x · u is in units of the activation: u has length 1, whatever `direction` has.
    """
    return _along("set_along", direction, lambda coordinate: mx.full(coordinate.shape, value))


def clamp_along(
    direction: mx.array, min_val: float | None = None, max_val: float | None = None
) -> Operation:
    """Limit the coordinate along a direction [d] to [min_val, max_val]; see `set_along`."""
    _check_bounds("clamp_along", min_val, max_val)
    return _along("clamp_along", direction, lambda along: _limited(along, min_val, max_val))


def noise(std: float = 0.1, seed: int = 0) -> Operation:
    """Add Gaussian noise of this standard deviation.

    Each position of the sequence has its own draw, which depends on the seed, the position and
    the activation's width alone: the same in a whole pass, with a key-value cache, and in
    every row of a batch.
    """
    if not std >= 0:
        raise BadInput(f"noise's std is {std}; give 0 or more")
    if not 0 <= seed < 2**32:
        raise BadInput(f"noise's seed is {seed}; give a whole number from 0 to {2**32 - 1}")
    return _Noise(std, seed)


def compose(*operations: Operation) -> Composition:
    """One after the other, the first first: `compose(a, b)`, or `compose().add(a).add(b)`."""
    return Composition(operations)


@dataclass(frozen=True)
class _Noise:
    std: float
    seed: int

    def __call__(self, x: mx.array) -> mx.array:
        return self.at(range(x.shape[-2]))(x)

    def at(self, positions: Sequence[int]) -> Operation:
        def add(x: mx.array) -> mx.array:
            keys = mx.array([[self.seed, position] for position in positions], dtype=mx.uint32)
            shape = (*x.shape[1:-2], x.shape[-1])
            draws = mx.vmap(lambda key: mx.random.normal(shape, key=key))(keys)
            return x + (mx.moveaxis(draws, 0, -2) * self.std).astype(x.dtype)

        return add


class Composition:
    """Operations in a row, themselves an operation."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = list(operations)

    def __call__(self, x: mx.array) -> mx.array:
        if not self.operations:
            raise BadInput("compose holds no operation and would change nothing; add one")
        for operation in self.operations:
            x = operation(x)
        return x

    def add(self, operation: Operation) -> Composition:
        """Append, and return itself: an `add` whose value is dropped counts all the same."""
        self.operations.append(operation)
        return self

    def build(self) -> Composition:
        """Itself: mlxterp's composer ends so."""
        return self

    def at(self, positions: Sequence[int]) -> Operation:
        return Composition([at(operation, positions) for operation in self.operations])


def at(operation: Operation, positions: Sequence[int]) -> Operation:
    """The operation as it is for these positions, which most don't depend on."""
    return operation.at(positions) if isinstance(operation, AtPositions) else operation


def draws(operation: Operation) -> bool:
    """Whether there is noise in an operation of this module."""
    if isinstance(operation, Composition):
        return any(draws(part) for part in operation.operations)
    return isinstance(operation, _Noise)


def _along(
    name: str, direction: mx.array, coordinate_after: Callable[[mx.array], mx.array]
) -> Operation:
    """Move x along u, in float32, so that x · u becomes what the function makes of it."""
    unit = _unit(name, direction)

    def move(x: mx.array) -> mx.array:
        if unit.shape[0] != x.shape[-1]:
            raise BadInput(
                f"{name} got a direction of {unit.shape[0]} numbers for an activation of "
                f"{x.shape}; give {x.shape[-1]}"
            )
        coordinate = (x.astype(mx.float32) * unit).sum(axis=-1, keepdims=True)
        return (x + (coordinate_after(coordinate) - coordinate) * unit).astype(x.dtype)

    return move


def _unit(name: str, direction: mx.array) -> mx.array:
    if direction.ndim != 1 or direction.size == 0:
        raise BadInput(f"{name} got an array of {direction.shape}; give one direction [d]")
    direction = direction.astype(mx.float32)
    largest = float(mx.abs(direction).max())
    if largest == 0 or not math.isfinite(largest):
        raise BadInput(
            f"{name} got a direction without a length (its largest entry is {largest}); "
            "give finite numbers that are not all 0"
        )
    shrunk = direction / largest  # the squares of very large or small entries leave float32
    return shrunk / mx.linalg.norm(shrunk)


def _limited(x: mx.array, least: float | None, most: float | None) -> mx.array:
    return mx.clip(
        x,
        None if least is None else mx.array(least, dtype=x.dtype),
        None if most is None else mx.array(most, dtype=x.dtype),
    )


def _check_bounds(name: str, least: float | None, most: float | None) -> None:
    if least is None and most is None:
        raise BadInput(f"{name} has neither bound; give the least, the most, or both")
    if least is not None and most is not None and least > most:
        raise BadInput(f"{name} from {least} to {most} is empty; give the smaller bound first")


@dataclass(frozen=True, eq=False)
class Edit:
    """An operation at a site; the site's part and positions narrow it down.

    positions: see `tracing.positions`. lengths: of a padded batch, how many tokens of each row
    are its own; a row is then edited as if it ran alone, and its padding is left as it is.
    """

    site: Site
    operation: Operation
    positions: Places | None = None
    lengths: tuple[int, ...] | None = None

    def apply(self, x: mx.array, first: int = 0, partial: bool = False) -> mx.array:
        """x: [batch, pos, d], or [batch, head, pos, d] for sites with heads.

        first: the position of its first row. partial: positions outside x are other calls'
        business; without, they are refused.
        """
        if self.lengths is not None:
            return self._row_by_row(x, self.lengths)
        count = x.shape[-2]
        if self.positions is None:
            return self._edited(x, None, range(first, first + count))
        if not partial:
            self._check_inside(first + count)
        chosen = rows(self.positions, first, count, first + count)
        return self._edited(x, chosen, [first + row for row in chosen]) if chosen else x

    def reaches(self, first: int, count: int) -> bool:
        """Whether the edit has any position among first .. first + count - 1."""
        return self.positions is None or bool(rows(self.positions, first, count, first + count))

    def resolved(self, prompt: int, read: int) -> Edit:
        """The same edit, its positions counted from the sequence's first token alone.

        prompt: tokens of the prompt; read: tokens, new ones too, that the network may read.
        """
        if self.positions is None:
            return self
        try:
            positions = absolute(self.positions, prompt, read)
        except BadInput as error:
            raise BadInput(f"the edit at {self.site}: {error}") from None
        return Edit(self.site, self.operation, positions)

    def _check_inside(self, length: int) -> None:
        self.resolved(length, length)

    def _row_by_row(self, x: mx.array, lengths: tuple[int, ...]) -> mx.array:
        alone = Edit(self.site, self.operation, self.positions)
        edited = mx.array(x)
        for row, length in enumerate(lengths):
            own = own_tokens(self.site, row, length)
            edited[own] = alone.apply(x[own])
        return edited

    def _edited(self, x: mx.array, chosen: list[int] | None, positions: Sequence[int]) -> mx.array:
        operation = at(self.operation, positions)
        where = selection(self.site, chosen)
        if where is None:
            return self._checked(operation(x), x)
        part = x[where]
        edited = mx.array(x)
        edited[where] = self._checked(operation(part), part)
        return edited

    def _checked(self, edited: mx.array, before: mx.array) -> mx.array:
        if not isinstance(edited, mx.array) or edited.shape != before.shape:
            shape = getattr(edited, "shape", type(edited).__name__)
            raise BadInput(
                f"the edit at {self.site} gave {shape} for an activation of {before.shape}; "
                "an operation keeps the shape"
            )
        return edited.astype(before.dtype)


Selection = tuple[slice | mx.array, ...]
_ALL = slice(None)


def selection(site: Site, chosen: list[int] | None) -> Selection | None:
    """An index of what a site's part and some rows hold; None for the whole."""
    where = None if chosen is None else mx.array(chosen)
    part = None if site.part is None else mx.array(site.part)
    if part is None:
        if where is None:
            return None
        return (_ALL, _ALL, where) if site.kind in HEAD_KINDS else (_ALL, where)
    if site.kind in HEAD_KINDS:
        return (_ALL, part) if where is None else (_ALL, part[:, None], where[None])
    return (_ALL, _ALL, part) if where is None else (_ALL, where[:, None], part[None])


def own_tokens(site: Site, row: int, length: int) -> Selection:
    """An index of one row's own tokens in a padded batch, the batch axis kept."""
    this, own = slice(row, row + 1), slice(length)
    if site.kind == "attn.pattern":
        return (this, _ALL, own, own)
    return (this, _ALL, own) if site.kind in HEAD_KINDS else (this, own)


def part_of(site: Site, array: mx.array) -> mx.array:
    """Of a whole site's array the part that `site` names; one head or neuron drops its axis."""
    if site.part is None:
        return array
    index = site.part[0] if len(site.part) == 1 else mx.array(site.part)
    return array[:, index] if site.kind in HEAD_KINDS else array[..., index]


@dataclass(frozen=True, eq=False)
class PositionedOperation:
    """An operation at some positions only."""

    positions: Places
    operation: Operation


def at_positions(positions: Place | Iterable[Place], operation: Operation) -> PositionedOperation:
    """Apply an operation at these positions only: `[0, -1]`, `slice(0, 4)`, "prompt", "new"."""
    return PositionedOperation(places(positions), operation)


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
