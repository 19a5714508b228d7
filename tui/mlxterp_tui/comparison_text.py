"""What lies between two runs, in words: drift per array, and every other difference. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.contract_strip import short

from textual.content import Content

LONGEST_FIELD = 60


def verdict(found: Comparison) -> Content:
    """In one line."""
    if found.same:
        count = len(found.drift)
        return Content.styled(
            f"✓ drift 0 in all {count} arrays: equal bit for bit", "$text-success"
        )
    unlike = Content(f"not comparable: {', '.join(found.unlike)}") if found.unlike else None
    known = {name: value for name, value in found.drift.items() if name not in found.unlike}
    name, most = max(known.items(), key=lambda item: _size(item[1]), default=("", 0.0))
    largest = Content(f"≠ largest drift {short(most)}, in {name}") if most else None
    words = Content("; ").join([piece for piece in (largest, unlike) if piece])
    return Content.styled(words.plain, "$text-warning bold")


def drift_lines(found: Comparison) -> list[Content]:
    """One an array: max |second − first|."""
    width = max(map(len, found.drift), default=0)
    return [
        Content.assemble(
            ("✓ " if value == 0 else "≠ ", "$text-success" if value == 0 else "$text-warning"),
            (f"{name:<{width}}  ", "$foreground-muted"),
            found.unlike.get(name) or short(value),
        )
        for name, value in found.drift.items()
    ]


def drift_in_line(found: Comparison) -> Content:
    """The same in one line, the largest first."""
    items = sorted(found.drift.items(), key=lambda item: (item[0] in found.unlike, -_size(item[1])))
    words = [f"{name} {found.unlike.get(name) or short(value)}" for name, value in items]
    return Content.assemble(("drift  ", "$foreground-muted"), " · ".join(words))


def other_prompts(first: RunRecord, second: RunRecord) -> Content | None:
    """Both prompts in one line; None when they are the same."""
    one, other = (str(record.request.get("prompt", "")) for record in (first, second))
    if one == other:
        return None
    return Content.assemble(quoted(one), ("  →  ", "$foreground-muted"), quoted(other))


def field_lines(found: Comparison) -> list[Content]:
    """What else differs: the first's value, then the second's."""
    width = max(map(len, found.fields), default=0)
    return [
        Content.assemble(
            (f"{name:<{width}}  ", "$foreground-muted"),
            _cut(one),
            ("  →  ", "$foreground-muted"),
            _cut(other),
        )
        for name, (one, other) in found.fields.items()
    ]


def whole(first: RunRecord, second: RunRecord, found: Comparison) -> Content:
    """Everything, one line each."""
    heads = [_head(record) for record in (first, second)]
    blocks: list[Sequence[Content]] = [heads, [verdict(found)], drift_lines(found)]
    if found.left_out:
        blocks.append([Content(f"too large to show cell by cell: {', '.join(found.left_out)}")])
    if found.fields:
        blocks.append([Content.styled("what else differs", "bold"), *field_lines(found)])
    return Content("\n\n").join([Content("\n").join(block) for block in blocks if block])


def _head(record: RunRecord) -> Content:
    return Content.assemble((f"run {record.id}  ", "bold"), record.headline)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_FIELD else f"{line[: LONGEST_FIELD - 1]}…"


def _size(drift: float) -> float:
    """A drift that cannot be said is the largest."""
    return math.inf if math.isnan(drift) else drift
