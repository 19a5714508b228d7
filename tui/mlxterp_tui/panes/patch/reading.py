"""Maps out of what a patching run tells: none known, some cells of a part, all of a result."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from mlxterp_engine.experiments import ActivationPatching, Array, PatchCells, Result
from mlxterp_engine.experiments.causal_tracing import BUCKETS, SEVERED, CausalTracing
from mlxterp_engine.experiments.causal_tracing import MAPS as TRACED
from mlxterp_engine.experiments.patching import Patching
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.panes.lens.stored import row_of
from mlxterp_tui.panes.patch import neurons
from mlxterp_tui.panes.patch.maps import At, PatchMap, Value
from mlxterp_tui.panes.patch.neurons import NEURONS, neurons_at, with_neurons
from mlxterp_tui.panes.patch.sites import EFFECT, Z_POS, Sizes, array_name, of_block, shown

Of = Literal["mean", "sd"] | int
"""Which map of a set: the mean, its spread, or one pair's."""

BUCKET_LABELS = ("first-subj", "mid-subj", "last-subj", "next", "further", "last")
"""`causal_tracing.BUCKETS`, as wide as a cell."""

MEMBERS = ("pairs", "samples", "facts")
"""How the arrays end that hold a map for each pair, draw of noise, or fact."""


class Frame(NamedTuple):
    """What the maps' shapes follow from. tokens: of the clean prompt; none of a set."""

    request: Request | None
    sizes: Sizes
    tokens: tuple[str, ...]


def unknown_maps(frame: Frame) -> dict[str, PatchMap]:
    """Every map that is asked for. A set of pairs has no tokens: those by position come later."""
    found = {}
    for name in asked(frame.request):
        columns = _count(frame, name)
        if columns and shown(name).measure != "count":
            found[name] = _blank(frame, name, frame.sizes.layers, columns)
    for block in z_pos_layers(frame.request, frame.sizes):
        if frame.tokens:
            found[of_block(Z_POS, block)] = _of_heads(frame, block, len(frame.tokens))
    if at := neurons_at(frame.request, len(frame.tokens)):
        found[NEURONS] = neurons.unknown(at, frame.sizes.neurons)
    return found


def with_part(maps: Mapping[str, PatchMap], frame: Frame, part: PatchCells) -> dict[str, PatchMap]:
    """The maps that a part changes. Of z_pos its values are [block, position, head]."""
    if part.site == Z_POS:
        return _with_heads(maps, part)
    if part.site == NEURONS:
        read = part.values.values
        effects = {neuron: float(read[0, i]) for i, neuron in enumerate(part.at)}
        return {NEURONS: with_neurons(maps[NEURONS], effects)}
    before = maps.get(part.site)
    columns = max(part.at) + 1
    if before is None or len(before.columns) < columns:
        before = _blank(frame, part.site, frame.sizes.layers, columns)
    return {part.site: before.with_cells(part.layers, part.at, part.values)}


def maps_of(frame: Frame, result: Result) -> dict[str, PatchMap]:
    """All maps of a result, in the order asked for."""
    arrays, found = result.arrays, {}
    for name in asked(frame.request):
        if name in arrays:
            rows, columns = arrays[name].shape
            blank = _blank(frame, name, rows, columns)
            values = blank.with_values(arrays[name].tolist())
            found[name] = values.lacking(_missing(result, values, "mean"))
    if Z_POS in arrays:
        for row, block in enumerate(arrays[f"{Z_POS}_layers"].tolist()):
            values = _heads_by_position(row_of(arrays[Z_POS], row))
            blank = _of_heads(frame, block, len(values[0]))
            heads = blank.with_values(values)
            found[of_block(Z_POS, block)] = heads.lacking(_missing(result, heads, "mean", row))
    if NEURONS in arrays and (at := neurons_at(frame.request, len(frame.tokens))):
        effects = arrays[NEURONS].tolist()
        found[NEURONS] = with_neurons(neurons.unknown(at, len(effects)), dict(enumerate(effects)))
    return found


def _missing(result: Result, found: PatchMap, of: Of, row: int = 0) -> frozenset[At]:
    """Cells where there is nothing to patch. row: of z_pos, the block's in the array."""
    if found.kind == "bucket" and found.measure != "count":
        rows = range(len(found.rows))
        return frozenset(At(r, c) for r in rows for c in _empty_buckets(result, of))
    told = result.strings.get("missing", {}).get(array_name(found.name), [])
    if found.block is not None:
        return frozenset(At(head, position) for r, position, head in told if r == row)
    return frozenset(At(*cell) for cell in told)


def _empty_buckets(result: Result, of: Of) -> list[int]:
    """Those in which a fact has no token; of a mean, in which no fact has, of a spread, not two."""
    tokens = result.arrays["bucket_tokens"].tolist()
    if isinstance(of, int):
        return [bucket for bucket, count in enumerate(tokens[of]) if not count]
    having = [sum(count > 0 for count in counts) for counts in zip(*tokens, strict=True)]
    return [bucket for bucket, facts in enumerate(having) if facts < (2 if of == "sd" else 1)]


def ends_of(result: Result) -> tuple[float, float] | None:
    """(clean, corrupt); means over a set."""
    for names in (("clean_metric", "corrupt_metric"), ("p_clean", "p_corrupt")):
        if all(name in result.arrays for name in names):
            clean, corrupt = (_mean(result.arrays[name]) for name in names)
            return clean, corrupt
    return None


def ends_of_member(result: Result, of: int) -> tuple[float, float] | None:
    """(clean, corrupt) of one pair, fact or draw; a draw's clean run is that of all."""
    arrays = result.arrays
    for clean, corrupt in _MEMBERS_ENDS:
        if corrupt in arrays and of < arrays[corrupt].shape[0]:
            first = arrays[clean].values[of] if arrays[clean].shape else arrays[clean].tolist()
            return float(first), float(arrays[corrupt].values[of])
    return None


_MEMBERS_ENDS = (
    ("clean_metric_pairs", "corrupt_metric_pairs"),
    ("p_clean_facts", "p_corrupt_facts"),
    ("p_clean", "p_corrupt_samples"),
)


def members(name: str, result: Result) -> int:
    """How many maps `name` is the mean of; 0 where they were not kept."""
    array = _members_of(name, result)
    return array.shape[0] if array is not None else 0


def member(mean: PatchMap, result: Result, of: Of) -> PatchMap | None:
    """The spread of a map, or that of one pair, draw or fact."""
    if of == "sd":
        values = _spread(mean, result)
        if values is None:
            return None
        return mean.as_spread(values).lacking(mean.missing | _missing(result, mean, of))
    array = _members_of(mean.name, result)
    if array is None or not isinstance(of, int) or not 0 <= of < array.shape[0]:
        return None
    found = mean.with_values(_of_block(mean, result, row_of(array, of)))
    return found.lacking(mean.missing | _missing(result, mean, of))


def asked(request: Request | None) -> list[str]:
    """The arrays that a request asks for which are maps of all blocks."""
    if request is None:
        return []
    if isinstance(request, CausalTracing):
        names = [*TRACED, *([SEVERED] if request.sever != "none" else [])]
        if request.facts is None:
            return names
        return [f"{name}_{end}" for end in ("effect", "argmax_count") for name in names]
    return request.kinds if isinstance(request, Patching) else [EFFECT]


def z_pos_layers(request: Request | None, sizes: Sizes) -> list[int]:
    """The blocks whose heads are patched by position."""
    if not isinstance(request, ActivationPatching) or not request.by_position:
        return []
    return list(range(sizes.layers)) if request.layers == "all" else list(request.layers)


def _count(frame: Frame, name: str) -> int:
    """Columns of a map that nothing is known of yet."""
    kind = shown(name).columns
    if kind == "position":
        return len(frame.tokens)
    if kind == "bucket":
        return len(BUCKETS)
    return frame.sizes.groups if kind == "group" else frame.sizes.heads


def _blank(frame: Frame, name: str, rows: int, columns: int) -> PatchMap:
    kind = shown(name).columns
    labels = column_labels(frame, kind, columns)
    return PatchMap.unknown(
        name, kind, [str(row) for row in range(rows)], labels, shown(name).measure
    )


def _of_heads(frame: Frame, block: int, positions: int) -> PatchMap:
    """A block's heads by position, all unknown."""
    heads = [f"h{head}" for head in range(frame.sizes.heads)]
    labels = column_labels(frame, "position", positions)
    return PatchMap.unknown(of_block(Z_POS, block), "position", heads, labels, block=block)


def column_labels(frame: Frame, kind: str, count: int) -> list[str]:
    """Tokens, heads, groups with the query heads that they serve, buckets, or numbers."""
    if kind == "position" and len(frame.tokens) == count:
        return list(frame.tokens)
    if kind == "head":
        return [f"h{head}" for head in range(count)]
    if kind == "bucket":
        return list(BUCKET_LABELS)
    if kind == "group":
        return [group_label(frame.sizes, group) for group in range(count)]
    return [str(number) for number in range(count)]


def group_label(sizes: Sizes, group: int) -> str:
    """`kv1:h3–5`: the key-value head, and the query heads that read it."""
    heads = sizes.heads_of_group(group)
    last = f"–{heads[-1]}" if len(heads) > 1 else ""
    return f"kv{group}:h{heads[0]}{last}"


def _with_heads(maps: Mapping[str, PatchMap], part: PatchCells) -> dict[str, PatchMap]:
    read, found = part.values.values, {}
    for i, block in enumerate(part.layers):
        name = of_block(Z_POS, block)
        if name in maps:
            cells = {
                (head, position): float(read[i, j, head])
                for j, position in enumerate(part.at)
                for head in range(part.values.shape[2])
            }
            found[name] = maps[name].with_each(cells)
    return found


def _heads_by_position(values: Array) -> list[list[float]]:
    """[position, head] -> [head, position]."""
    return [list(column) for column in zip(*values.tolist(), strict=True)]


def _members_of(name: str, result: Result) -> Array | None:
    arrays = result.arrays
    names = (f"{array_name(name)}_{end}" for end in MEMBERS)
    return next((arrays[each] for each in names if each in arrays), None)


def spread_at(mean: PatchMap, result: Result, at: At) -> float | None:
    """Of one cell; None where there is none."""
    index = _index(mean, result, at)
    spread = result.arrays.get(f"{array_name(mean.name)}_sd")
    if spread is not None:
        return float(spread.values[index])
    array = _members_of(mean.name, result)
    if array is None or array.shape[0] < 2:
        return None
    read = array.values
    return _deviation([float(read[i, *index]) for i in range(array.shape[0])])


def _index(mean: PatchMap, result: Result, at: At) -> tuple[int, ...]:
    """Where a cell stands in the map's own array."""
    if mean.block is None:
        return tuple(at)
    layers = result.arrays[f"{Z_POS}_layers"].tolist()
    return layers.index(mean.block), at.column, at.row


def _spread(mean: PatchMap, result: Result) -> list[list[Value]] | None:
    """Of every cell: the standard deviation, with n − 1."""
    if spread_at(mean, result, At(0, 0)) is None:
        return None
    return [
        [spread_at(mean, result, At(r, c)) for c in range(len(mean.columns))]
        for r in range(len(mean.rows))
    ]


def _of_block(mean: PatchMap, result: Result, values: Array) -> Any:
    """Nested lists like the map's own values, out of an array like its array."""
    if mean.block is None:
        return values.tolist()
    layers = result.arrays[f"{Z_POS}_layers"].tolist()
    return _heads_by_position(row_of(values, layers.index(mean.block)))


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _mean(array: Array) -> float:
    values = array.tolist()
    return statistics.fmean(values) if isinstance(values, list) else float(values)
