"""Runs in the order of the list: the newest family first, children under their parents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlxterp_engine.runlog.record import RunLine

if TYPE_CHECKING:
    from mlxterp_engine.runlog.log import RunLog

# A reproduction runs dozens of experiments: larger families begin folded.
UNFOLDED_AT_MOST = 4


class Entry(NamedTuple):
    """A line of the list. children: how many runs came directly from this one."""

    line: RunLine
    depth: int = 0
    children: int = 0
    folded: bool = False
    pinned: bool = False


class Listing(NamedTuple):
    """What stands in the list: runs as the filter found them, and as they are arranged.

    version: of the log, when it was asked.
    """

    lines: list[RunLine]
    entries: list[Entry]
    version: tuple[int, int] = (0, 0)


def listing(log: RunLog, search: str, pinned: Collection[int], turned: Collection[int]) -> Listing:
    """In the log's thread: what the search finds, and in which order it stands."""
    version = log.version()  # asked first: what is written meanwhile is another version
    found = log.lines(search=search)
    return Listing(found, arranged(found, pinned, turned, all_unfolded=bool(search)), version)


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
    lines = sorted(lines, key=lambda line: line.id, reverse=True)
    there = {line.id for line in lines}
    children: dict[int, list[RunLine]] = {}
    newest: dict[int, int] = {}
    roots: list[RunLine] = []
    for line in lines:  # a child's id is above its parent's, so it comes before it
        parent = line.parent
        if parent is None or parent not in there or line.id in pinned or parent >= line.id:
            roots.append(line)
            continue
        children.setdefault(parent, []).append(line)
        newest[parent] = max(newest.get(parent, parent), newest.get(line.id, line.id))
    roots.sort(key=lambda line: (line.id in pinned, newest.get(line.id, line.id)), reverse=True)
    turned = () if all_unfolded else turned
    found: list[Entry] = []
    for root in roots:
        if root.id in children:
            found += _family(root, children, turned, all_unfolded, root.id in pinned)
        else:
            found.append(Entry(root, pinned=root.id in pinned))
    return found


def is_folded(children: int, is_turned: bool) -> bool:
    """Whether a family of so many is folded."""
    return (children > UNFOLDED_AT_MOST) != is_turned


def _family(
    root: RunLine,
    children: Mapping[int, list[RunLine]],
    turned: Collection[int],
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
