"""Runs of the log as lines, pages and comparisons, in plain text."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from mlxterp_engine.experiments import ModelCard
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.record import RunLine, RunRecord
from mlxterp_tui.amounts import price_in_words, seconds, size
from mlxterp_tui.commands.output import table

LONGEST_CELL = 34
LONGEST_FIELD = 40


def runs_table(lines: Sequence[RunLine]) -> str:
    """Newest first, as they come, cut to the terminal's width; a sentence when there are none."""
    if not lines:
        return "no runs; each experiment leaves one: mlxterp-tui run logit-lens --prompt TEXT"
    heading = ["id", "begun", "state", "experiment", "model", "prompt", "tags", "headline"]
    whole = table([heading, *map(_cells, lines)])
    if not sys.stdout.isatty():
        return whole
    width = shutil.get_terminal_size().columns
    return "\n".join(_cut(line, width) for line in whole.splitlines())


def run_page(record: RunRecord, children: Sequence[RunLine] = ()) -> str:
    """All of one run, hypothesis and outcome first."""
    blocks = [
        table([[name, text] for name, text in _facts(record, children) if text]),
        _mapping("request", {k: repr(v) for k, v in record.request.items() if k != "name"}),
        _mapping("figures", {name: f"{value:.6g}" for name, value in record.figures.items()}),
        _contracts(record),
    ]
    return "\n\n".join(block for block in blocks if block)


def comparison_page(comparison: Comparison) -> str:
    """Drift of each array, then whatever else differs."""
    lines = [["array", "largest difference"], *drift_lines(comparison)]
    fields = [
        [name, _cut(first, LONGEST_FIELD), _cut(second, LONGEST_FIELD)]
        for name, (first, second) in comparison.fields.items()
    ]
    page = table(lines)
    return f"{page}\n\n{table([['field', 'first', 'second'], *fields])}" if fields else page


def drift_lines(comparison: Comparison) -> list[list[str]]:
    """A row for each array: its largest difference, or why there is none."""
    return [
        [name, comparison.unlike.get(name) or f"{drift:.3g}"]
        for name, drift in comparison.drift.items()
    ]


def drift_in_words(comparison: Comparison) -> str:
    """One line that says it all."""
    if comparison.same:
        count = len(comparison.drift)
        return f"no drift: {count} array{'' if count == 1 else 's'} equal"
    known = [drift for drift in comparison.drift.values() if not math.isnan(drift)]
    unlike = len(comparison.unlike)
    words = [f"largest difference {max(known):.3g}"] if known else []
    words += [f"{unlike} array{'' if unlike == 1 else 's'} can't be compared"] if unlike else []
    return "; ".join(words)


def _cells(line: RunLine) -> list[str]:
    state = f"{line.state}, a contract fails" if line.broken else line.state
    return [
        str(line.id),
        moment(line.created),
        state,
        line.experiment,
        _end_of(line.model),
        _cut(repr(line.prompt), LONGEST_CELL),
        _cut(", ".join(line.tags), LONGEST_CELL),
        line.headline,
    ]


def _facts(record: RunRecord, children: Sequence[RunLine]) -> list[tuple[str, str]]:
    result = f"{size(record.result_bytes)}, SHA-256 {record.result_sha256[:16]}…"
    return [
        ("run", f"{record.id}, {record.request['name']}, {record.state}"),
        ("deleted", moment(record.deleted) if record.deleted else ""),
        ("hypothesis", record.hypothesis),
        ("headline", record.headline),
        ("outcome", record.outcome),
        ("note", record.note),
        ("tags", ", ".join(record.tags)),
        ("begun", moment(record.created)),
        ("took", seconds(record.seconds) if record.state == "done" else ""),
        ("foretold", price_in_words(record.price)),
        ("model", _model(record.model) if record.model else ""),
        ("tokens", " ".join(str(len(text)) for text in record.tokens)),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted(record.versions.items()))),
        ("result", result if record.result_bytes and record.state == "done" else ""),
        ("kept", record.kept),
        ("reason", record.reason),
        ("came from", f"run {record.parent}" if record.parent else ""),
        ("led to", ", ".join(f"run {child.id}" for child in children)),
    ]


def _model(card: ModelCard) -> str:
    return (
        f"{card.reference} ({card.provenance}), weights {card.sha256[:16]}…, "
        f"{card.dtype} on {card.device}"
    )


def _mapping(title: str, values: Mapping[str, str]) -> str:
    rows = [[f"  {name}", value] for name, value in values.items()]
    return f"{title}\n{table(rows)}" if rows else ""


def _contracts(record: RunRecord) -> str:
    rows = [
        [f"  {name}", "holds" if held.ok else "FAILS", f"{held.error:.1e} ≤ {held.tolerance:.0e}"]
        for name, held in record.contracts.items()
    ]
    return f"contracts\n{table(rows)}" if rows else ""


def moment(when: float) -> str:
    return datetime.fromtimestamp(when).isoformat(" ", "minutes")


def _end_of(model: str) -> str:
    """The end of a path says most."""
    return model if len(model) <= LONGEST_CELL else "…" + model[1 - LONGEST_CELL :]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
