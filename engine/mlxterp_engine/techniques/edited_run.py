"""A run under a request's `patch` and `intervention`, and what it proves of itself.

Patches come first, then interventions, each in the order given. The contract `patch_changes`:
where a patch writes another state than the one that stood there, the logits differ.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mlxterp_engine.experiments import BadInput, Contract, LogitLens
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Prompts
from mlxterp_engine.tracing.forward import Forward
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.tracing.spoken import parse_edit
from mlxterp_engine.tracing.spoken_patches import (
    Lengths,
    SpokenPatch,
    parse_patch,
    patch_changes,
    read_from,
)

import mlx.core as mx

PATCH_CHANGES = "patch_changes"


@dataclass(frozen=True)
class Edits:
    """What a request changes, read: patches before interventions."""

    patches: list[SpokenPatch]
    interventions: list[Edit]

    @property
    def sites(self) -> list[Site]:
        return [each.site for each in (*self.patches, *self.interventions)]


def check(model: InterpretableModel, request: LogitLens) -> Edits:
    """BadInput for an unknown site or operation, and for positions outside the prompts."""
    rows = [model.encode(text, request.bos, request.chat) for text in request.prompts]
    return _read(model, request, [len(row) for row in rows])


def _read(model: InterpretableModel, request: LogitLens, lengths: Sequence[int]) -> Edits:
    between = Lengths(lengths[0], lengths[-1])
    interventions = [parse_edit(words, model.sites) for words in request.intervention]
    for edit in interventions:
        edit.resolved(between.prompt, between.prompt)
    patches = [parse_patch(words, model.sites, between) for words in request.patch]
    return Edits(patches, interventions)


def refuse_behind(sites: Collection[Site], edits: Edits) -> None:
    """BadInput for an edit that acts after the last of these sites, where nothing reads it."""
    behind = [site for site in edits.sites if site.block is None and site.kind != "embed"]
    if behind:
        last = max((site for site in sites if site.block is not None), key=lambda s: s.block or 0)
        raise BadInput(
            f"the lens reads states up to {last} and the edit at {behind[0]} comes after them, so "
            "that no row would show it; edit a site of a block, or embed"
        )


def passes(request: LogitLens) -> int:
    """Forward passes of the run: with patches also those that they come from and are held to."""
    return 3 if request.patch else 1


def edited_run(
    model: InterpretableModel, request: LogitLens, prompts: Prompts, record: Sequence[Site]
) -> tuple[Forward, dict[str, Contract]]:
    """The prompt's pass with all edits, not yet evaluated, and the contracts of the patches."""
    edits = _read(model, request, [len(prompt.ids) for prompt in prompts])
    ids = prompts[0].ids
    if not edits.patches:
        return model.run(ids, record, edits.interventions), {}
    places = read_from(edits.patches)
    source = model.run(prompts[1].ids, places)
    mx.eval(list(source.sites.values()))
    written = [patch.edit(source.sites[patch.site.whole]) for patch in edits.patches]
    run = model.run(ids, record, [*written, *edits.interventions])
    return run, {PATCH_CHANGES: _patch_changes(model, ids, edits, source, run)}


def _patch_changes(
    model: InterpretableModel, ids: list[int], edits: Edits, source: Forward, run: Forward
) -> Contract:
    """Against the run with the same interventions and no patch."""
    bare = model.run(ids, read_from(edits.patches), edits.interventions).evaluate()
    moved = any(
        patch.moves(source.sites[patch.site.whole], bare.sites[patch.site.whole])
        for patch in edits.patches
    )
    return patch_changes(bare, run, moved)
