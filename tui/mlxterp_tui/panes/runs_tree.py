"""Runs in the order of the list: the newest family first, children under their parents. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from mlxterp_engine.runlog.record import RunLine

# A reproduction runs dozens of experiments: larger families begin folded.
UNFOLDED_AT_MOST = 4


class Entry(NamedTuple):
    """A line of the list. children: how many runs came directly from this one."""

    line: RunLine
    depth: int = 0
    children: int = 0
    folded: bool = False
    pinned: bool = False


def arranged(
    lines: Sequence[RunLine],
    pinned: Collection[int] = (),
    turned: Collection[int] = (),
    all_unfolded: bool = False,
) -> list[Entry]:
    """Every line that is not folded away.

    Pinned runs come first. A family is as new as its newest run; a child whose parent is not
    among the lines stands alone. turned: runs whose fold is other than by default.
    """
    by_id = {line.id: line for line in lines}
    children: dict[int, list[RunLine]] = defaultdict(list)
    roots: list[RunLine] = []
    for line in sorted(lines, key=lambda line: line.id, reverse=True):
        if line.parent in by_id and line.id not in pinned and line.parent != line.id:
            children[line.parent].append(line)  # type: ignore[index]
        else:
            roots.append(line)
    newest = _newest(by_id, children)
    roots.sort(key=lambda line: (line.id not in pinned, -newest[line.id]))
    turned = frozenset(turned)
    found: list[Entry] = []
    for root in roots:
        kept = root.id in pinned
        found += _family(
            root, children, frozenset() if all_unfolded else turned, all_unfolded, kept
        )
    return found


def is_folded(children: int, is_turned: bool) -> bool:
    """Whether a family of so many is folded."""
    return (children > UNFOLDED_AT_MOST) != is_turned


def _newest(by_id: Mapping[int, RunLine], children: Mapping[int, list[RunLine]]) -> dict[int, int]:
    """The highest id in each run's family. A child's id is always above its parent's."""
    newest: dict[int, int] = {}
    for run in sorted(by_id, reverse=True):
        newest[run] = max([run, *(newest[child.id] for child in children.get(run, ()))])
    return newest


def _family(
    root: RunLine,
    children: Mapping[int, list[RunLine]],
    turned: frozenset[int],
    all_unfolded: bool,
    pinned: bool,
) -> Iterator[Entry]:
    """The run and those under it; without recursion, as a chain may be as long as the log."""
    waiting = [(root, 0)]
    while waiting:
        line, depth = waiting.pop()
        own = children.get(line.id, [])
        folded = bool(own) and not all_unfolded and is_folded(len(own), line.id in turned)
        yield Entry(line, depth, len(own), folded, pinned and depth == 0)
        if not folded:
            waiting += [(child, depth + 1) for child in reversed(own)]
