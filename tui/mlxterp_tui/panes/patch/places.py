"""What a cell of a map is, in words and as an address that can be typed. Pure."""

from __future__ import annotations

from mlxterp_engine.experiments.causal_tracing import BUCKETS
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.neurons import neuron_of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.sites import shown
from mlxterp_tui.token_text import quoted


def address(run: PatchRun, name: str, at: At) -> str:
    """`blocks.9.resid_pre@4`, `blocks.9.attn.z[4]`, `blocks.9.attn.k[1]`: site and position."""
    found = run.maps[name]
    part, position = part_of(found, at), position_of(found, at)
    site = f"blocks.{block_of(found, at)}.{shown(name).kind}"
    site += "" if part is None else f"[{part}]"
    return site if position is None else f"{site}@{position}"


def brief_place(run: PatchRun, name: str, at: At) -> str:
    """`block 9 at 4 ' John'`, `head 9.4`, `kv head 9.1`, `head 9.4 at 4 ' John'`: for a list."""
    found = run.maps[name]
    if found.kind == "neuron":
        return f"neuron {neuron_of(at)}"
    if found.block is not None:
        return f"head {found.block}.{at.row} at {_token(run, at.column)}"
    if found.kind == "position":
        return f"block {at.row} at {_token(run, at.column)}"
    if found.kind == "bucket":
        return f"block {at.row}, {BUCKETS[at.column]}"
    words = {"head": "head", "group": "kv head"}
    return f"{words[found.kind]} {at.row}.{at.column}"


def position_of(found: PatchMap, at: At) -> int | None:
    """The position that a cell is about; None where it is all of them."""
    return at.column if found.kind == "position" else found.position


def part_of(found: PatchMap, at: At) -> int | None:
    """The query head, the key-value head, or the neuron of a cell; None of a block's whole site."""
    return neuron_of(at) if found.kind == "neuron" else head_of(found, at)


def head_of(found: PatchMap, at: At) -> int | None:
    """The query head, or the key-value head, that a cell is about; None of whole blocks."""
    if found.kind in ("head", "group"):
        return at.column
    return at.row if found.kind == "position" and found.block is not None else None


def block_of(found: PatchMap, at: At) -> int:
    return at.row if found.block is None else found.block


def tokens_there(run: PatchRun, position: int) -> str:
    """' John', or `' Mary' (clean) / ' John' (corrupt)` where the prompts differ; with its own
    position where that is another one."""
    if position >= len(run.clean):
        return ""
    clean, there = run.clean[position], run.partner(position)
    if there is None:
        return f"{quoted(clean)} (clean alone)"
    corrupt, where = run.corrupt[there], f" at {there}" if there != position else ""
    if clean == corrupt:
        return quoted(clean) + (f" (corrupt{where})" if where else "")
    return f"{quoted(clean)} (clean) / {quoted(corrupt)}{where} (corrupt)"


def _token(run: PatchRun, position: int) -> str:
    token = f" {quoted(run.clean[position])}" if position < len(run.clean) else ""
    return f"{position}{token}"
