"""A run as a page of Markdown that reads over SSH, in a browser and in `git diff`.

Everything that lines up stands in code blocks, as no table of Markdown lines up in a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlxterp_engine.experiments import BadInput, ModelCard
from mlxterp_engine.experiments.registry import CARD
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_engine.runlog.replay import request_of
from mlxterp_tui.exports import shell
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.exports.escaping import escaped, fenced, prose, quotation, quoted
from mlxterp_tui.exports.figure import figure
from mlxterp_tui.exports.naming import moment, title
from mlxterp_tui.logbook import Stored

Rows = list[list[str]]


def report(stored: Stored) -> str:
    """Expectation and outcome first, then the figure, what was asked, of what, how checked."""
    record, result = stored.record, stored.result
    parts = [f"# {prose(title(record))}", _line(record), *_said(record)]
    if record.state != "done":
        parts.append(f"**{record.state}:** {prose(record.reason or record.kept)}")
    if result is not None:
        parts.append(_section("Figure", fenced(figure(result), "text")))
    parts += [_block(heading, rows) for heading, rows in _tables(record) if rows]
    parts.append(_section("Run it again", fenced(_again(record), "sh")))
    return "\n\n".join(parts) + "\n"


def _line(record: RunRecord) -> str:
    words = [record.state, moment(record), prose(str(record.request.get("model", "")))]
    if record.parent is not None:
        words.append(f"from run {record.parent}")
    words += [f"\\#{prose(tag)}" for tag in record.tags]
    return " · ".join(words)


def _said(record: RunRecord) -> Iterator[str]:
    """What people wrote, as they wrote it."""
    told = {"Expected": record.hypothesis, "Came out": record.outcome, "Note": record.note}
    return (quotation(name, text) for name, text in told.items() if text.strip())


def _tables(record: RunRecord) -> Iterator[tuple[str, Rows]]:
    yield "Figures", [[name, f"{value:.6g}"] for name, value in sorted(record.figures.items())]
    yield "Contracts", _contracts(record)
    yield "Request", [[name, _value(value)] for name, value in record.request.items()]
    if record.model is not None:
        yield "Model", _model(record.model)
    yield "Made with", _made_with(record)


def _contracts(record: RunRecord) -> Rows:
    failed = [["failed cells", str(record.failed_cells)]] if record.failed_cells else []
    return failed + [
        [
            name,
            "holds" if held.ok else "FAILS",
            f"error {held.error:.1e}",
            f"≤ {held.tolerance:.0e}",
        ]
        for name, held in sorted(record.contracts.items())
    ]


def _value(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)


def _model(card: ModelCard) -> Rows:
    return [
        ["reference", escaped(card.reference)],
        ["architecture", escaped(card.architecture)],
        ["weights", f"sha256 {card.sha256}"],
        ["quantisation", escaped(card.quantisation)],
        ["from", escaped(card.provenance)],
        ["size", f"{card.layers} blocks × {card.heads} heads, d_model {card.d_model}"],
        ["computed on", f"{card.device}, {card.dtype}"],
    ]


def _made_with(record: RunRecord) -> Rows:
    rows = [[name, version] for name, version in sorted(record.versions.items())]
    if record.result_sha256:
        rows.append(["result", f"sha256 {record.result_sha256}"])
    if record.seconds:
        rows.append(["took", f"{record.seconds:.3g} s, loading apart"])
    return rows


def _again(record: RunRecord) -> str:
    """Commands, or a comment that says why there are none."""
    if record.request["name"] == CARD:
        return shell.command(record.request)
    try:
        request_of(record)
    except BadInput as error:
        return f"# {escaped(str(error))}"
    replay = [f"mlxterp-tui runs replay {record.id}"] if record.id else []
    return "\n".join([*replay, shell.command(record.request)])


def _block(heading: str, rows: Rows) -> str:
    width = max(map(len, rows))
    return _section(heading, fenced(columns([[*row, *[""] * (width - len(row))] for row in rows])))


def _section(heading: str, body: str) -> str:
    return f"## {heading}\n\n{body}"
