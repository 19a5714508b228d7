"""Runs in words: a line of the list, all that is known of one, tables to copy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from mlxterp_engine.experiments import EXPERIMENTS
from mlxterp_engine.runlog.record import RunLine, RunRecord
from mlxterp_tui.amounts import price_in_words, seconds, size
from mlxterp_tui.contract_words import WORDS
from mlxterp_tui.panes.runs.tree import Entry
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.contract_strip import short
from mlxterp_tui.widgets.token_text import legible

import msgspec
from msgspec import NODEFAULT
from rich.cells import cell_len, set_cell_size
from textual.content import Content

SIGNS = {
    "running": ("●", "$text-accent"),
    "done": ("✓", "$text-success"),
    "cancelled": ("–", "$text-warning"),
    "failed": ("✗", "$text-error"),
}
MARKED, PINNED = "◆", "⚑"
WIDE, WIDER = 100, 150
SHARED = ("name", "model", "prompt")
DEFAULTS: dict[str, Any] = {
    "seed": 0, "bos": "auto", "chat": False, "device": "auto", "dtype": "auto",
    "intervention": [],
}  # fmt: skip
EXPERIMENT, MODEL, PROMPT, WHEN, TAGS = 15, 16, 36, 6, 24
NAME = 12  # columns of a field's name in the detail
Line = tuple[str, Content]


def heading(width: int) -> str:
    """Over the list: what stands in its columns."""
    model = f"{'model':<{MODEL}} " if width >= WIDE else ""
    prompt = f"{'prompt':<{PROMPT}} " if width >= WIDER else ""
    return (
        f"   {'run':>5} {'when':<{WHEN}} {'experiment':<{EXPERIMENT}} {model}{prompt}what came out"
    )


def run_line(
    entry: Entry, width: int, now: datetime, marked: bool = False
) -> list[tuple[str, str]]:
    """`✓ 42 14:03  logit-lens  ' Paris' on top from block 29 on  #ioi`, in styled pieces."""
    line = entry.line
    sign, style = SIGNS[line.state]
    tags = _cut(" ".join(f"#{tag}" for tag in line.tags), TAGS)
    left = [
        (MARKED if marked else PINNED if entry.pinned else " ", "$text-accent bold"),
        (f"{sign} ", style),
        (f"{line.id:>5} ", "bold" if marked else ""),
        (f"{when(line.created, now):<{WHEN}} ", "$foreground-muted"),
        (f"{_fit(_branch(entry) + line.experiment, EXPERIMENT)} ", ""),
        *_columns(line, width),
    ]
    right = [(f" {tags}", "$text-accent")] if tags else []
    room = width - sum(cell_len(text) for text, _ in (*left, *right))
    what, kind = about(line)
    return [*left, (_fit(what, max(0, room)), kind), *right]


def about(line: RunLine) -> tuple[str, str]:
    """What came out, else what was asked; and how that is drawn."""
    if line.headline:
        return legible_line(line.headline), "$text-error bold" if line.broken else ""
    return (quoted(line.prompt) if line.prompt else "", "$foreground-muted")


def when(created: float, now: datetime) -> str:
    """14:03 today, `Nov 21` this year, else 2025."""
    at = datetime.fromtimestamp(created)
    if at.date() == now.date():
        return at.strftime("%H:%M")
    return at.strftime("%b %d") if at.year == now.year else at.strftime("%Y")


def legible_line(text: str) -> str:
    return " ".join(legible(piece) for piece in text.split(" "))


def detail(record: RunRecord, children: Sequence[RunLine] = ()) -> Content:
    """Everything that the log knows of a run, most telling first."""
    blocks = [_head(record), _expected(record), _results(record), _asked(record), _model(record)]
    family = _family(record, children)
    return Content("\n\n").join([block for block in [*blocks, family, _cost(record)] if block])


def summary(record: RunRecord) -> Content:
    """The same in a few lines, for the strip under the list."""
    rows = [_head_line(record), *_failed_contracts(record)]
    if record.hypothesis or record.outcome:
        rows.append(_expectation_line(record))
    rows.append(Content(" · ").join([_prompt(record), *_parameters(record)]))
    rows.append(Content.styled(_figures_line(record) or _note_line(record), "$foreground-muted"))
    return Content("\n").join(rows)


def run_tsv(line: RunLine) -> str:
    return _TSV_HEAD + _tsv(line)


def runs_tsv(lines: Sequence[RunLine]) -> str:
    return _TSV_HEAD + "".join(_tsv(line) for line in lines)


_TSV_HEAD = "run\tcreated\texperiment\tmodel\tstate\theadline\tprompt\ttags\tnote\tparent\n"


def _tsv(line: RunLine) -> str:
    values = (
        str(line.id), datetime.fromtimestamp(line.created).isoformat(" ", "seconds"),
        line.experiment, line.model, line.state, line.headline, line.prompt,
        " ".join(line.tags), line.note, "" if line.parent is None else str(line.parent),
    )  # fmt: skip
    return "\t".join(_field(value) for value in values) + "\n"


def _field(value: str) -> str:
    """Without the characters that end a field or a line."""
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )


def _columns(line: RunLine, width: int) -> list[tuple[str, str]]:
    found = []
    if width >= WIDE:
        found.append((f"{_fit(short_model(line.model), MODEL)} ", "$foreground-muted"))
    if width >= WIDER:
        prompt = quoted(line.prompt) if line.prompt and line.headline else ""
        found.append((f"{_fit(prompt, PROMPT)} ", "$foreground-muted"))
    return found


def short_model(reference: str) -> str:
    """A folder or file by its last part, as its beginning tells nothing."""
    return reference.rstrip("/").rpartition("/")[2] if reference.startswith("/") else reference


def _branch(entry: Entry) -> str:
    """Where it stands in its family: indented, and whether its children are folded away."""
    stem = "  " * (entry.depth - 1) + "└ " if entry.depth else ""
    if not entry.children:
        return stem
    return stem + (f"▸{entry.children} " if entry.folded else "▾ ")


def _fit(text: str, cells: int) -> str:
    """Exactly so many cells; what is cut off ends in an ellipsis."""
    return set_cell_size(_cut(text, cells), cells)


def _cut(text: str, cells: int) -> str:
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - 1)).rstrip() + "…" if cells else ""


# Blocks of the detail.


def _head_line(record: RunRecord) -> Content:
    sign, style = SIGNS[record.state]
    came = record.headline or record.reason or record.kept or record.state
    return Content.assemble(
        (f"{sign} run {record.id} ", f"{style} bold"), (legible_line(came), "bold")
    )


def _head(record: RunRecord) -> Content:
    at = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")
    rows = [
        _head_line(record),
        Content.styled(f"{record.request['name']} · {at}", "$foreground-muted"),
    ]
    for words in (record.reason if record.headline else "", record.kept):
        if words:
            rows.append(Content.styled(words, "$text-warning"))
    if record.tags:
        rows.append(Content.styled(" ".join(f"#{tag}" for tag in record.tags), "$text-accent"))
    if record.note:
        rows.append(Content(record.note))
    return _lines(rows)


def _expected(record: RunRecord) -> Content | None:
    rows = []
    if record.hypothesis:
        rows.append(_row("expected", record.hypothesis))
    if record.outcome:
        rows.append(_row("came out", record.outcome))
    elif record.hypothesis and record.state != "running":
        rows.append(_row("came out", ":outcome says what became of it"))
    return _lines(rows) if rows else None


def _expectation_line(record: RunRecord) -> Content:
    return Content.assemble(
        ("expected ", "$foreground-muted"), record.hypothesis or "–",
        ("  →  ", "$foreground-muted"), record.outcome or "?",
    )  # fmt: skip


def _results(record: RunRecord) -> Content | None:
    rows = [_row(name, f"{value:.6g}") for name, value in record.figures.items()]
    rows += [
        Content.assemble(
            ("✓ ", "$text-success"),
            (f"{WORDS.get(name, name)} ", "$foreground-muted"),
            short(contract.error),
        )
        for name, contract in record.contracts.items()
        if contract.ok
    ]
    rows = [*_failed_contracts(record), *rows]
    if record.failed_cells:
        rows.insert(0, Content.styled(f"✗ {record.failed_cells} cells failed", "$text-error bold"))
    return _lines(rows) if rows else None


def _failed_contracts(record: RunRecord) -> list[Content]:
    return [
        Content.styled(
            f"✗ {WORDS.get(name, name)}: off by {short(contract.error)}, "
            f"allowed {short(contract.tolerance)}; do not trust this result",
            "$text-error bold",
        )
        for name, contract in record.contracts.items()
        if not contract.ok
    ]


def _asked(record: RunRecord) -> Content:
    rows = [_row("prompt", _prompt(record).plain)] if record.request.get("prompt") else []
    rows += [_row(name, _value(value)) for name, value in _chosen(record).items()]
    return _lines(rows)


def _chosen(record: RunRecord) -> dict[str, Any]:
    """What was asked other than by default."""
    defaults = _defaults(record.request["name"])
    return {
        name: value
        for name, value in record.request.items()
        if name not in SHARED and (name not in defaults or defaults[name] != value)
    }


@cache
def _defaults(experiment: str) -> dict[str, Any]:
    """By field, where there is one; a card's, and those of what is unknown here, are shared."""
    if experiment not in EXPERIMENTS:
        return DEFAULTS
    fields = msgspec.structs.fields(EXPERIMENTS[experiment])
    made = {f.name: f.default_factory() for f in fields if f.default_factory is not NODEFAULT}
    return made | {f.name: f.default for f in fields if f.default is not NODEFAULT}


def _model(record: RunRecord) -> Content:
    card = record.model
    rows = [_row("model", str(record.request.get("model", "")))]
    if card is not None:
        rows.append(_row("weights", f"{card.sha256[:16]}… ({card.quantisation})"))
        rows.append(_row("from", card.provenance))
        rows.append(_row("device", f"{card.device.partition(' (')[0]}, {card.dtype}"))
    return _lines(rows)


def _family(record: RunRecord, children: Sequence[RunLine]) -> Content | None:
    rows = [] if record.parent is None else [_row("parent", f"run {record.parent} (o goes there)")]
    if children:
        ids = ", ".join(str(child.id) for child in children[:12])
        more = f" and {len(children) - 12} more" if len(children) > 12 else ""
        rows.append(_row("children", ids + more))
    return _lines(rows) if rows else None


def _cost(record: RunRecord) -> Content:
    rows = [_row("priced", price_in_words(record.price))] if record.price else []
    if record.seconds:
        rows.append(_row("took", seconds(record.seconds)))
    if record.result_bytes:
        rows.append(_row("result", f"{size(record.result_bytes)}, {record.result_sha256[:12]}…"))
    rows += [_row(name, version) for name, version in record.versions.items()]
    return _lines(rows)


def _prompt(record: RunRecord) -> Content:
    return Content(quoted(str(record.request.get("prompt", ""))))


def _parameters(record: RunRecord) -> list[Content]:
    """The model first, then what is other than by default."""
    request = record.request
    found = [Content.styled(short_model(str(request.get("model", ""))), "$foreground-muted")]
    return found + [
        Content.styled(f"{name} {_value(value)}", "$foreground-muted")
        for name, value in _chosen(record).items()
        if value not in (None, "")
    ]


def _figures_line(record: RunRecord) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in record.figures.items())


def _note_line(record: RunRecord) -> str:
    return record.note.replace("\n", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, str) and (" " in value or not value.isprintable()):
        return quoted(value)
    return " ".join(str(value).split())


def _row(name: str, value: str) -> Content:
    """Further lines of the value stand under its first."""
    lined = value.replace("\n", f"\n{'':<{NAME}}")
    return Content.assemble((f"{name:<{NAME - 1}} ", "$foreground-muted"), lined)


def _lines(rows: Sequence[Content]) -> Content:
    return Content("\n").join(rows)
