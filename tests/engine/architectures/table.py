"""The table of architectures: measured, written, read back.

After a change that was looked at, or with another mlx-lm, write it anew:

    python tests/engine/architectures/table.py
"""

from __future__ import annotations

import math
import re
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # when run as a script

import mlxterp_engine.openblas  # noqa: F401  before mlx

from engine.architectures.building import NOT_BUILT, architectures
from engine.architectures.measuring import Cell, measure

FILE = Path(__file__).parents[1] / "architectures.md"
MASK = "…"

Table = dict[str, dict[str, Cell]]


def measured() -> Table:
    """Every architecture that is built, in the order of the alphabet."""
    return {architecture: measure(architecture) for architecture in architectures()}


def comparable(text: str) -> str:
    """The table without the size of its errors, which differ from machine to machine."""
    figures = re.sub(r"(?<=\| )(?:0|1e-?\d+)(?= )", MASK, text)
    return re.sub(r"\(error [^)]*\)", f"(error {MASK})", figures)


def written(table: Table) -> str:
    """The table as Markdown."""
    reasons: list[str] = []
    columns = list(next(iter(table.values())))
    lines = [
        f"| `{name}` | {' | '.join(_shown(row[c], reasons) for c in columns)} |"
        for name, row in table.items()
    ]
    head = [f"| architecture | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
    parts = [_preface(table), "\n".join([*head, *lines]), _totals(table), "\n".join(notes)]
    return "\n\n".join([*parts, _not_built()]) + "\n"


def _shown(cell: Cell, reasons: list[str]) -> str:
    for reason in cell.reasons:
        if reason not in reasons:
            reasons.append(reason)
    notes = "".join(f" [{reasons.index(reason) + 1}]" for reason in cell.reasons)
    if not cell.found:
        return f"–{notes}"
    figure = "yes" if cell.error is None else _rounded_up(cell.error)
    return (
        figure + (f" in {cell.found} of {cell.blocks}" if cell.found < cell.blocks else "") + notes
    )


def _rounded_up(error: float) -> str:
    """To the next power of ten, so that another machine's rounding seldom shows."""
    if error == 0:
        return "0"
    return f"1e{math.ceil(math.log10(error))}" if math.isfinite(error) else str(error)


def share(table: Table, column: str, of: str | None = None) -> tuple[int, int]:
    """How many architectures have the column in a block, of those that have `of` (or of all)."""
    among = [row for row in table.values() if of is None or _may_have(row[of])]
    return sum(row[column].found > 0 for row in among), len(among)


def _may_have(cell: Cell) -> bool:
    """Whether an architecture has softmax attention at all."""
    return cell.found > 0 or cell.reasons != ("this block has no softmax attention",)


def _totals(table: Table) -> str:
    rows = {
        "residual states": share(table, "resid"),
        "increments (`attn_out`), in one block at least": share(table, "attn_out"),
        "patterns and z, of those with softmax attention anywhere": share(
            table, "pattern, z", "pattern, z"
        ),
    }
    return "\n".join(
        f"- {name}: {found} of {count} ({found / count:.1%})"
        for name, (found, count) in rows.items()
    )


def _preface(table: Table) -> str:
    return f"""# Architectures

Written by `python tests/engine/architectures/table.py`; a test fails when it is no longer true.
mlx-lm {version("mlx-lm")}, float32 on a CPU, {len(table)} architectures at a tiny size with random
weights, {len(NOT_BUILT)} not built (below). It shows that the parts are found and that numbers
recorded and written there are right; real checkpoints were tried for a few only.

A figure is max|difference| / max|reference|, rounded up to a power of ten, 0 = bit for bit.
`in 2 of 4`: in so many of its blocks. –: not there, and why.

- opens: a pass that records every site gives the bare pass's logits
- resid: `resid_post` is the next block's `resid_pre`, also when overwritten
- attn_out, mlp_out: with `resid_pre` they sum to `resid_post`, also when overwritten
- resid_mid: with `mlp_out` it sums to `resid_post`, also when overwritten
- pattern, z: pattern · V is z, and written back gives `attn_out`; causal; rows at most 1
- q, k, v and mlp.post: recorded, and an edit there changes the logits
- unembed: the last state gives the logits, whatever the number of states
- gradient: against a central difference at three depths
- cache: tokens after a prefix in mlx-lm's own cache against one full pass, every site recorded"""


def _not_built() -> str:
    return "Not built:\n\n" + "\n".join(f"- `{name}`: {why}" for name, why in NOT_BUILT.items())


if __name__ == "__main__":
    FILE.write_text(written(measured()), encoding="utf-8")
    print(FILE)
