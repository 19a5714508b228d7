"""From a cell of the map to what comes next: its block, its patch for a lens, its site. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_tui.panes.lens.edits import Edit, Edits, ablation
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.places import block_of, head_of, part_of, position_of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.sites import shown


class Onwards(NamedTuple):
    """A run of the lens: its prompt, the other one, and the edits that are on."""

    prompt: str
    second: str
    edits: Edits


def patched(run: PatchRun, name: str, at: At) -> Onwards:
    """The patched run of a cell, as the lens runs it: the one prompt with the other's states."""
    clean, corrupt = pair_of(run)
    prompt, source = (clean, corrupt) if run.direction == "noise" else (corrupt, clean)
    words = patches(run, name, at)
    return Onwards(prompt, source, Edits(tuple(Edit(each, source) for each in words)))


def zeroed(run: PatchRun, name: str, at: At) -> Onwards:
    """The clean prompt with the cell's place set to zero."""
    clean, corrupt = pair_of(run)
    position = position_of(map_of(run, name), at)
    where = "" if position is None else f"@{position}"
    return Onwards(clean, corrupt, Edits((ablation(site(run, name, at) + where),)))


def patches(run: PatchRun, name: str, at: At) -> list[str]:
    """`SITE@POS`, one for each position: of heads, all from the first difference on."""
    position = position_of(map_of(run, name), at)
    positions = range(run.first, len(run.clean)) if position is None else [position]
    return [f"{site(run, name, at)}@{each}" for each in positions]


def site(run: PatchRun, name: str, at: At) -> str:
    """Without its position: `blocks.9.attn.z[4]`."""
    found = map_of(run, name)
    part = part_of(found, at)
    whole = f"blocks.{block_of(found, at)}.{shown(name).kind}"
    return whole if part is None else f"{whole}[{part}]"


def block_at(run: PatchRun, name: str, at: At) -> int:
    return block_of(map_of(run, name), at)


def map_of(run: PatchRun, name: str) -> PatchMap:
    found = run.maps.get(name)
    if found is None:
        raise BadInput("no cell is under the cursor yet; Enter runs the prompts first")
    return found


def pair_of(run: PatchRun) -> tuple[str, str]:
    """Both prompts of the run on screen. BadInput where it is about none, or about many."""
    request = run.request
    if request is None:
        raise BadInput("no cell is under the cursor yet; Enter runs the prompts first")
    if run.is_tracing:
        raise BadInput(
            "causal tracing's runs have noise on the subject, which a lens does not; "
            "M takes activation patching"
        )
    if not isinstance(request, PairRequest) or request.clean is None or request.corrupt is None:
        raise BadInput("the map is a mean over a set; a cell is one run only of one pair")
    return request.clean, request.corrupt


def query_head(run: PatchRun, name: str, at: At) -> int:
    """The query head that a cell is about; of a key-value head the first that reads it."""
    found = map_of(run, name)
    head = head_of(found, at) or 0
    return run.sizes.heads_of_group(head)[0] if found.kind == "group" else head
