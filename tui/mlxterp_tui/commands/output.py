"""A result on standard output: as JSON, or as a short table."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from mlxterp_engine.experiments import Array, Result
from mlxterp_tui.exports.lens_labels import row_labels, which_lens
from mlxterp_tui.exports.patching_figure import patching_summary
from mlxterp_tui.widgets.token_text import legible

import msgspec


def as_json(value: Any) -> str:
    """One line of JSON; NaN becomes null."""
    return msgspec.json.encode(value).decode()


def result_table(result: Result) -> str:
    """What a person wants to see at once, or the names of what there is."""
    body = _BODIES.get(result.meta.experiment["name"], _arrays)(result)
    return "\n".join([_heading(result), "", body, "", _contracts(result)]).rstrip()


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell. No wide characters are expected but at the end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _heading(result: Result) -> str:
    meta = result.meta
    return (
        f"{meta.experiment['name']} · {meta.model.reference} · {meta.device} {meta.dtype} · "
        f"{meta.elapsed_s:.2f} s, loaded in {meta.load_s:.2f} s"
    )


def _layers(result: Result) -> str:
    """One row a layer, the last first, for the last position."""
    labels = row_labels(result)
    columns = [name for name in _PER_CELL if name in result.arrays]
    lines = [["layer", *(_PER_CELL[name] for name in columns), "token"]]
    for row in reversed(range(len(labels))):
        cells = [_cell(result.arrays[name], row) for name in columns]
        tokens = result.strings["top_tokens"][row][-1]
        lines.append([labels[row], *cells, repr(tokens[0])])
    said = "".join(f"{_printable(line)}\n" for line in which_lens(result))
    return f"{said}at the last token, {result.meta.tokens[0][-1]!r}:\n{table(lines)}"


def _written(result: Result) -> str:
    """Prompt and new text as they follow each other; then the tokens that were least sure."""
    text = _printable("".join(result.meta.tokens[0]) + (result.meta.text or ""))
    logprobs = result.arrays["logprobs"].tolist()
    tokens = result.strings["tokens"]
    unsure = sorted(range(len(tokens)), key=logprobs.__getitem__)[:UNSURE]
    lines = [["token", "log p", ""]]
    lines += [[str(at + 1), f"{logprobs[at]:.2f}", repr(tokens[at])] for at in sorted(unsure)]
    count = f"{len(tokens)} new token{'s' if len(tokens) != 1 else ''}"
    return f"{text}\n\n{count}; the least likely:\n{table(lines)}"


def _read_out(result: Result) -> str:
    """What the model wrote, and how sure it was of the first token."""
    asked, tokens = result.meta.experiment, result.meta.tokens
    source = f"{asked['site']} of {tokens[0][asked['position']]!r}"
    target = f"{tokens[1][asked['target_position']]!r} of {asked['target_prompt']!r}"
    if asked["target_layer"] is not None:
        target += f", block {asked['target_layer']}"
    lines = [["p", "first token"]]
    probs, words = result.arrays["top_probs"].tolist(), result.strings["top_tokens"]
    lines += [[f"{p:.3f}", repr(word)] for p, word in zip(probs, words, strict=True)]
    text = _printable(result.meta.text or "")
    return f"{source}, written over {target}\n\n{text}\n\n{table(lines)}"


UNSURE = 5


def _printable(text: str) -> str:
    """A model's words on a terminal: no control characters but line breaks and tabs."""
    return "".join(
        legible(c) if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text
    )


def _patterns(result: Result) -> str:
    """One row a block: what the last token reads most, the first token left out."""
    tokens = result.meta.tokens[0]
    layers, pattern = result.arrays["layers"].tolist(), result.arrays["pattern"].tolist()
    lines = [["layer", "head", "weight", "first token", "reads"]]
    for layer, heads in zip(layers, pattern, strict=True):
        rows = [head[-1] for head in heads]
        head, source = _strongest(rows)
        first = sum(row[0] for row in rows) / len(rows)
        weight = f"{rows[head][source]:.3f}"
        lines.append([str(layer), str(head), weight, f"{first:.3f}", repr(tokens[source])])
    return f"from the last token, {tokens[-1]!r}, on others than the first:\n{table(lines)}"


def _strongest(rows: list[list[float]]) -> tuple[int, int]:
    """(head, source) of the largest weight, not on the first token unless there is no other."""
    sources = range(1, len(rows[0])) if len(rows[0]) > 1 else range(1)
    pairs = [(head, source) for head in range(len(rows)) for source in sources]
    return max(pairs, key=lambda pair: rows[pair[0]][pair[1]])


_PER_CELL = {
    "top_probs": "p",
    "entropy": "entropy",
    "kl": "KL to final",
    "final_rank": "rank of final",
    "target_prob": "p of target",
    "target_rank": "rank of target",
}


def _cell(array: Array, row: int) -> str:
    value = array.tolist()[row][-1]
    value = value[0] if isinstance(value, list) else value
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _arrays(result: Result) -> str:
    lines = [["array", "shape"]]
    lines += [[name, "×".join(map(str, a.shape))] for name, a in result.arrays.items()]
    return table(lines) + "\n\nvalues: --json or --out FILE.npz"


_BODIES = {
    "logit-lens": _layers,
    "tuned-lens": _layers,
    "activation-patching": patching_summary,
    "attribution-patching": patching_summary,
    "path-patching": patching_summary,
    "causal-tracing": patching_summary,
    "generate": _written,
    "patchscope": _read_out,
    "attention": _patterns,
}


def _contracts(result: Result) -> str:
    lines = [
        [name, "holds" if held.ok else "FAILS", f"{held.error:.1e}", f"≤ {held.tolerance:.0e}"]
        for name, held in result.meta.contracts.items()
    ]
    return table([["contract", "", "error", ""], *lines]) if lines else ""
