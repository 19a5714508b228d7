"""From a cell of the map to what comes next: its block, its patch for a lens, its site. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_tui.panes.lens.edits import Edit, Edits, ablation
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.places import address, block_of, head_of
from mlxterp_tui.panes.patch.run import PatchRun


class Onwards(NamedTuple):
    """A run of the lens: its prompt, the other one, and the edits that are on."""

    prompt: str
    second: str
    edits: Edits


def patched(run: PatchRun, name: str, at: At) -> Onwards:
    """The patched run of a cell, as the lens runs it: the one prompt with the other's states."""
    clean, corrupt = as_typed(run)
    prompt, source = (clean, corrupt) if run.direction == "noise" else (corrupt, clean)
    words = patches(run, name, at)
    return Onwards(prompt, source, Edits(tuple(Edit(each, source) for each in words)))


def zeroed(run: PatchRun, name: str, at: At) -> Onwards:
    """The clean prompt with the cell's place set to zero."""
    clean, corrupt = as_typed(run)
    map_of(run, name)
    return Onwards(clean, corrupt, Edits((ablation(address(run, name, at)),)))


def patches(run: PatchRun, name: str, at: At) -> list[str]:
    """`SITE@POS`, one for each position: of whole heads, all from the first difference on."""
    map_of(run, name)
    place = address(run, name, at)
    if "@" in place:
        return [place]
    return [f"{place}@{each}" for each in range(run.first, len(run.clean))]


def in_words(edits: Edits) -> str:
    """`blocks.9.attn.z[4]@3 … @13 from the other prompt; U takes them back`."""
    (first, *_), last = edits.made, edits.made[-1]
    many = f" … @{last.words.rpartition('@')[2]}" if last is not first else ""
    source = " from the other prompt" if first.prompt else ""
    return f"{first.words}{many}{source}; {'U takes them' if many else 'u takes it'} back"


def site(run: PatchRun, name: str, at: At) -> str:
    """Without its position: `blocks.9.attn.z[4]`."""
    map_of(run, name)
    return address(run, name, at).partition("@")[0]


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
            "causal tracing has one prompt, with noise on its subject, and this is about a pair; "
            "M takes activation patching"
        )
    if not isinstance(request, PairRequest) or request.clean is None or request.corrupt is None:
        raise BadInput("the map is a mean over a set; a cell is one run only of one pair")
    return request.clean, request.corrupt


def as_typed(run: PatchRun) -> tuple[str, str]:
    """The same, where the map's positions are those of the prompts as they stand."""
    pair, request = pair_of(run), run.request
    if getattr(request, "pad", None) or getattr(request, "align", "exact") != "exact":
        raise BadInput(
            "these prompts were made equally long to be patched, and the lens reads them as they "
            "are, so that positions are others; prompts of equally many tokens can be looked into"
        )
    return pair


def query_head(run: PatchRun, name: str, at: At) -> int:
    """The query head that a cell is about; of a key-value head the first that reads it."""
    found = map_of(run, name)
    head = head_of(found, at) or 0
    return run.sizes.heads_of_group(head)[0] if found.kind == "group" else head
