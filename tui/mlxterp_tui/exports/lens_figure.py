"""The logit lens as text: what each layer would say at each position, and the last one in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlxterp_engine.experiments import Result
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.exports.escaping import escaped
from mlxterp_tui.exports.lens_labels import row_labels, which_lens
from mlxterp_tui.exports.lens_means import lens_means
from mlxterp_tui.widgets.token_text import fit, legible

CELL = 10  # columns of a token; longer ones end in …
LABEL = 7
WIDTH = 100  # of a panel: more positions follow in the next one
SETTLED = "▸"
MEASURES = (
    ("entropy", "entropy", ".3f"),
    ("kl", "KL", ".3f"),
    ("final_rank", "rank", "d"),
    ("target_prob", "target p", ".3g"),
    ("target_rank", "target rank", "d"),
)


def lens_figure(result: Result) -> str:
    """The last block on top, as in the pane; `▸` stands where a position's answer stays."""
    top = [[best[0] for best in row] for row in result.strings["top_tokens"]]
    ranks = result.arrays["final_rank"].tolist()
    settled = [_settled_row(ranks, pos) for pos in range(len(top[-1]))]
    tokens = result.meta.tokens[0]
    labels = row_labels(result)
    panels = [
        "\n".join(_panel(tokens, labels, top, settled, places)) for places in _panels(len(tokens))
    ]
    means = lens_means(result)
    said = "\n".join(escaped(line) for line in which_lens(result))
    parts = [said, *panels, _last_position(result, labels), means]
    return "\n\n".join(part for part in parts if part)


def _panels(positions: int) -> Iterator[range]:
    """As many positions as fit beside one another."""
    many = (WIDTH - LABEL) // (CELL + 2)
    for start in range(0, positions, many):
        yield range(start, min(start + many, positions))


def _panel(
    tokens: Sequence[str],
    labels: Sequence[str],
    top: Sequence[Sequence[str]],
    settled: Sequence[int],
    places: range,
) -> Iterator[str]:
    yield _line("", [f" {pos}" for pos in places])
    yield _line("block", [" " + legible(tokens[pos]) for pos in places])
    for row in reversed(range(len(labels))):
        yield _line(
            labels[row],
            [(SETTLED if settled[pos] == row else " ") + legible(top[row][pos]) for pos in places],
        )


def _line(label: str, cells: Sequence[str]) -> str:
    return (f"{label:>{LABEL - 2}} " + " ".join(fit(cell, CELL + 1) for cell in cells)).rstrip()


def _settled_row(ranks: Sequence[Sequence[int]], pos: int) -> int:
    """The first row from which on the last row's token stays on top."""
    row = len(ranks) - 1
    while row > 0 and ranks[row - 1][pos] == 0:
        row -= 1
    return row


def _last_position(result: Result, labels: Sequence[str]) -> str:
    """Every measure of the last position, layer by layer."""
    measures = [measure for measure in MEASURES if measure[0] in result.arrays]
    values = [[row[-1] for row in result.arrays[name].tolist()] for name, _, _ in measures]
    top, probs = result.strings["top_tokens"], result.arrays["top_probs"].values
    last = len(result.meta.tokens[0]) - 1
    rows = [["block", "token", "p", *(title for _, title, _ in measures)]]
    for row in reversed(range(len(labels))):
        token = legible(top[row][-1][0])
        numbers = [
            f"{column[row]:{digits}}"
            for column, (_, _, digits) in zip(values, measures, strict=True)
        ]
        rows.append([labels[row], token, f"{probs[row, last, 0]:.3f}", *numbers])
    heading = f"after {legible(result.meta.tokens[0][-1])} (position {last}):"
    return f"{heading}\n{columns(rows, right=(0, *range(2, len(rows[0]))))}"
