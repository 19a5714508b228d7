"""Maps out of what a patching run tells: none known, some cells of a part, all of a result."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from mlxterp_engine.experiments import ActivationPatching, Array, PatchCells, Result
from mlxterp_engine.experiments.causal_tracing import BUCKETS, SEVERED, CausalTracing
from mlxterp_engine.experiments.causal_tracing import MAPS as TRACED
from mlxterp_engine.experiments.patching import Patching
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.panes.lens.stored import row_of
from mlxterp_tui.panes.patch import neurons
from mlxterp_tui.panes.patch.maps import PatchMap
from mlxterp_tui.panes.patch.members import heads_by_position, missing
from mlxterp_tui.panes.patch.neurons import NEURONS, neurons_at, with_neurons
from mlxterp_tui.panes.patch.sites import EFFECT, Z_POS, Sizes, of_block, shown

BUCKET_LABELS = ("first-subj", "mid-subj", "last-subj", "next", "further", "last")
"""`causal_tracing.BUCKETS`, as wide as a cell."""


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
            found[name] = values.lacking(missing(result, values, "mean"))
    if Z_POS in arrays:
        for row, block in enumerate(arrays[f"{Z_POS}_layers"].tolist()):
            values = heads_by_position(row_of(arrays[Z_POS], row))
            blank = _of_heads(frame, block, len(values[0]))
            heads = blank.with_values(values)
            found[of_block(Z_POS, block)] = heads.lacking(missing(result, heads, "mean", row))
    if NEURONS in arrays and (at := neurons_at(frame.request, len(frame.tokens))):
        effects = arrays[NEURONS].tolist()
        found[NEURONS] = with_neurons(neurons.unknown(at, len(effects)), dict(enumerate(effects)))
    return found


def ends_of(result: Result) -> tuple[float, float] | None:
    """(clean, corrupt); means over a set."""
    for names in (("clean_metric", "corrupt_metric"), ("p_clean", "p_corrupt")):
        if all(name in result.arrays for name in names):
            clean, corrupt = (_mean(result.arrays[name]) for name in names)
            return clean, corrupt
    return None


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


def _mean(array: Array) -> float:
    values = array.tolist()
    return statistics.fmean(values) if isinstance(values, list) else float(values)
