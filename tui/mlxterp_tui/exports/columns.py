"""Text in columns of equal width, as a terminal and a fixed-width font show it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = (), gap: int = 2) -> str:
    """Each column as wide as its widest cell, wide characters counted as two.

    right: the columns that end, rather than begin, at the same place. No trailing spaces, as
    `git diff` marks them.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        (" " * gap)
        .join(
            padded(cell, width, at in right)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    )


def padded(cell: str, width: int, to_the_right: bool = False) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if to_the_right else cell + space
