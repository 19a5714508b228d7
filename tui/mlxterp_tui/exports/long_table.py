"""All numbers of a result as one long table: a row a cell, its axes named, arrays as columns.

Arrays of the same axes stand side by side; one with fewer of them (an entropy for every layer and
position beside ten tokens for each) is repeated along the others. Arrays whose axes do not go
together follow one another, and what does not apply to a row is empty there.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mlxterp_engine.experiments import Array, Result
from mlxterp_engine.experiments.array import FORMATS
from mlxterp_tui.exports.axes import TOKENS, UNNAMED, axes_of, coordinates
from mlxterp_tui.exports.escaping import escaped

Extent = tuple[str, int]
"""An axis and its length."""


LENSES = ("logit-lens", "tuned-lens")


class Column(NamedTuple):
    """A value for every cell of its extents. flat: row-major."""

    name: str
    extents: tuple[Extent, ...]
    flat: Sequence[Any]
    written: Callable[[Any], str]


class Block(NamedTuple):
    """Columns over the same cells."""

    extents: tuple[Extent, ...]
    columns: list[Column]


def long_csv(result: Result) -> str:
    """RFC 4180 with line feeds; texts escaped, so that a row is a line."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows_of(result))
    return file.getvalue()


def long_tsv(result: Result) -> str:
    """A tab between fields; tabs and line breaks inside them are escaped."""
    return "".join("\t".join(row) + "\n" for row in rows_of(result))


def rows_of(result: Result) -> Iterator[list[str]]:
    """The heading, then every cell."""
    blocks = _blocks(_columns(result))
    axes = list(dict.fromkeys(axis for block in blocks for axis, _ in block.extents))
    names = dict.fromkeys(column.name for block in blocks for column in block.columns)
    places = {name: len(axes) + at for at, name in enumerate(names)}
    yield [*axes, *map(escaped, names)]
    labels = {axis: array.tolist() for axis, array in coordinates(result).items()}
    for block in blocks:
        yield from _cells(block, axes, places, labels)


def _cells(
    block: Block, axes: list[str], places: dict[str, int], labels: dict[str, list[int]]
) -> Iterator[list[str]]:
    empty = [""] * (len(axes) + len(places))
    at_axes = [axes.index(axis) for axis, _ in block.extents]
    shown = [
        [str(value) for value in labels.get(axis, range(length))] for axis, length in block.extents
    ]
    columns = [
        (places[column.name], column.flat, column.written, _strides(block, column))
        for column in block.columns
    ]
    for cell in itertools.product(*(range(length) for _, length in block.extents)):
        row = empty.copy()
        for at, names, index in zip(at_axes, shown, cell, strict=True):
            row[at] = names[index]
        for place, flat, written, strides in columns:
            row[place] = written(flat[sum(map(int.__mul__, cell, strides))])
        yield row


def _strides(block: Block, column: Column) -> list[int]:
    """How far one step along each axis of the block goes in the column: 0 where it has none."""
    steps: dict[str, int] = {}
    step = 1
    for axis, length in reversed(column.extents):
        steps[axis] = step
        step *= length
    return [steps.get(axis, 0) for axis, _ in block.extents]


def _blocks(columns: Iterable[Column]) -> list[Block]:
    """Columns that go together, in the order in which they come."""
    columns = list(columns)
    extents = list(dict.fromkeys(column.extents for column in columns))
    return [
        Block(whole, [column for column in columns if _is_part(column.extents, whole)])
        for whole in extents
        if not any(_is_part(whole, other) for other in extents if other != whole)
    ]


def _is_part(extents: tuple[Extent, ...], whole: tuple[Extent, ...]) -> bool:
    """Whether these are among the others; axes without a name belong with nothing else."""
    if any(axis.startswith(UNNAMED) for axis, _ in extents):
        return extents == whole
    return set(extents) <= set(whole)


def _columns(result: Result) -> Iterator[Column]:
    experiment = result.meta.experiment["name"]
    labelling = [id(array) for array in coordinates(result).values()]
    extents = {
        name: tuple(zip(axes_of(experiment, name, array), array.shape, strict=True))
        for name, array in result.arrays.items()
    }
    yield from _tokens(result, extents.values())
    for name, array in result.arrays.items():
        if id(array) not in labelling:
            yield Column(name, extents[name], _flat(array), _WRITTEN[array.dtype])
        words = _words_beside(name, result.strings)
        if words is not None:
            flat = _flattened(words, len(array.shape))
            column = name.removesuffix("ids").removesuffix("token_") + "token"
            yield Column(column, extents[name], flat, escaped)


def _words_beside(name: str, strings: Mapping[str, Any]) -> Any:
    """What the engine says beside ids: `top_tokens` of `top_ids`, `tokens` of `token_ids`."""
    if not name.endswith("ids"):
        return None
    other = name.removesuffix("ids") + "tokens"
    return strings.get("tokens" if name == "token_ids" else other)


def _tokens(result: Result, all_extents: Collection[tuple[Extent, ...]]) -> Iterator[Column]:
    """The prompt's tokens, wherever there are positions of that many.

    Of several prompts the first, where the others only lend it states.
    """
    first_alone = len(result.meta.tokens) == 1 or result.meta.experiment["name"] in LENSES
    tokens = result.meta.tokens[0] if first_alone else []
    for axis, name in TOKENS.items():
        extent = (axis, len(tokens))
        if tokens and any(extent in extents for extents in all_extents):
            yield Column(name, (extent,), tokens, escaped)


def _flat(array: Array) -> Sequence[Any]:
    return array.data.cast("B").cast(FORMATS[array.dtype])


def _flattened(values: Any, depth: int) -> list[str]:
    for _ in range(depth - 1):
        values = list(itertools.chain.from_iterable(values))
    return values


def _float(value: float) -> str:
    """Nine digits: enough to read the same float32 back."""
    return "nan" if math.isnan(value) else f"{value:.9g}"


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "float32": _float,
    "int32": str,
    "bool": lambda value: "true" if value else "false",
}
