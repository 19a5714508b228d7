"""From a cell of a patching map onwards, on maps made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlxterp_engine.experiments import ActivationPatching, BadInput, PathPatching
from mlxterp_tui.panes.patch import onwards
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.sites import Sizes

import pytest

CLEAN, CORRUPT = "a b c d", "a x c d"
TOKENS = ("a", " b", " c", " d")
BLOCKS, HEADS, GROUPS = 3, 4, 2


def run_of(**fields: Any) -> PatchRun:
    """Two prompts that differ at position 1; every map there is."""
    pair: dict[str, Any] = {"clean": CLEAN, "corrupt": CORRUPT, "answer": "s", "wrong": "e"}
    request = ActivationPatching(**pair | fields)
    rows = [str(block) for block in range(BLOCKS)]
    heads = [f"h{head}" for head in range(HEADS)]
    groups = [f"k{group}" for group in range(GROUPS)]
    maps = {
        "resid_pre": PatchMap.unknown("resid_pre", "position", rows, TOKENS),
        "z": PatchMap.unknown("z", "head", rows, heads),
        "k": PatchMap.unknown("k", "group", rows, groups),
        "z_pos[2]": PatchMap.unknown("z_pos[2]", "position", heads, TOKENS, block=2),
    }
    sizes = Sizes(BLOCKS, HEADS, GROUPS)
    return PatchRun(request, "done", TOKENS, ("a", " x", " c", " d"), sizes, first=1, maps=maps)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("resid_pre", At(2, 1), ["blocks.2.resid_pre@1"]),
        ("z_pos[2]", At(3, 1), ["blocks.2.attn.z[3]@1"]),
        ("z", At(1, 3), [f"blocks.1.attn.z[3]@{at}" for at in (1, 2, 3)]),
        ("k", At(0, 1), [f"blocks.0.attn.k[1]@{at}" for at in (1, 2, 3)]),
    ],
)
def test_a_cell_is_patched_where_it_was(name, at, expected):
    assert onwards.patches(run_of(), name, at) == expected


def test_denoising_writes_the_clean_prompt_s_state_into_the_corrupt_run():
    there = onwards.patched(run_of(), "resid_pre", At(2, 1))
    assert (there.prompt, there.second) == (CORRUPT, CLEAN)
    assert [edit.prompt for edit in there.edits.made] == [CLEAN]


def test_noising_goes_the_other_way():
    there = onwards.patched(run_of(direction="noise"), "resid_pre", At(2, 1))
    assert (there.prompt, there.second) == (CLEAN, CORRUPT)


def test_a_place_is_zeroed_in_the_clean_run():
    there = onwards.zeroed(run_of(), "z", At(1, 3))
    assert there.prompt == CLEAN
    assert [edit.words for edit in there.edits.made] == ["blocks.1.attn.z[3]=zero"]
    there = onwards.zeroed(run_of(), "resid_pre", At(2, 1))
    assert [edit.words for edit in there.edits.made] == ["blocks.2.resid_pre=zero@1"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (
            onwards.patched(run_of(), "z", At(1, 3)),
            "blocks.1.attn.z[3]@1 … @3 from the other prompt; U takes them back",
        ),
        (
            onwards.patched(run_of(), "resid_pre", At(2, 1)),
            "blocks.2.resid_pre@1 from the other prompt; u takes it back",
        ),
        (onwards.zeroed(run_of(), "z", At(1, 3)), "blocks.1.attn.z[3]=zero; u takes it back"),
    ],
)
def test_what_is_on_in_the_lens_is_said_in_a_line_however_many_positions_it_has(there, expected):
    assert onwards.in_words(there.edits) == expected


def test_a_key_value_head_leads_to_the_first_query_head_that_reads_it():
    assert onwards.query_head(run_of(), "k", At(0, 1)) == HEADS // GROUPS
    assert onwards.query_head(run_of(), "z", At(0, 1)) == 1


def test_the_block_of_a_map_of_one_block_is_that_block():
    assert onwards.block_at(run_of(), "z_pos[2]", At(0, 3)) == 2
    assert onwards.block_at(run_of(), "resid_pre", At(1, 3)) == 1


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (PatchRun(), "no cell is under the cursor yet"),
        (run_of(pad=" x"), "made equally long"),
        (
            replace(run_of(), request=PathPatching(pairs="ioi")),
            "a mean over a set",
        ),
    ],
)
def test_what_is_no_single_run_of_the_prompts_as_they_stand_is_refused(run, words):
    with pytest.raises(BadInput, match=words):
        onwards.patched(run, "resid_pre", At(0, 0))
