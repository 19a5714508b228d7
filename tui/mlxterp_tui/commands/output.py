"""A result on standard output: as JSON, or as a short table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlxterp_engine.experiments import Array, Result

import msgspec


def as_json(value: Any) -> str:
    """One line of JSON; NaN becomes null."""
    return msgspec.json.encode(value).decode()


def result_json(result: Result) -> str:
    """One object: `meta`, every array by its name, and strings beside ids."""
    arrays = {name: array.tolist() for name, array in result.arrays.items()}
    return as_json({"meta": result.meta, **arrays, **result.strings})


def result_table(result: Result) -> str:
    """What a person wants to see at once: the last position by layers, or what there is."""
    by_layer = "layer" in result.arrays and "top_tokens" in result.strings
    body = _layers(result) if by_layer else _arrays(result)
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
    layers = result.arrays["layer"].tolist()
    columns = [name for name in _PER_CELL if name in result.arrays]
    lines = [["layer", *(_PER_CELL[name] for name in columns), "token"]]
    for row in reversed(range(len(layers))):
        cells = [_cell(result.arrays[name], row) for name in columns]
        tokens = result.strings["top_tokens"][row][-1]
        lines.append([_layer_name(layers[row]), *cells, repr(tokens[0])])
    return f"at the last token, {result.meta.tokens[0][-1]!r}:\n{table(lines)}"


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


def _layer_name(layer: int) -> str:
    return "embed" if layer == -1 else str(layer)


def _arrays(result: Result) -> str:
    lines = [["array", "shape"]]
    lines += [[name, "×".join(map(str, a.shape))] for name, a in result.arrays.items()]
    return table(lines) + "\n\nvalues: --json or --out FILE.npz"


def _contracts(result: Result) -> str:
    lines = [
        [name, "holds" if held.ok else "FAILS", f"{held.error:.1e}", f"≤ {held.tolerance:.0e}"]
        for name, held in result.meta.contracts.items()
    ]
    return table([["contract", "", "error", ""], *lines]) if lines else ""
