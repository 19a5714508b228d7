"""Edits in words, without a screen."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput, LogitLens
from mlxterp_tui.panes.lens.edits import (
    NO_EDITS,
    Edit,
    Edits,
    ablation,
    ablations_at,
    edits_of,
    intervention,
    steering,
)
from mlxterp_tui.panes.lens.patch import patch_at
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell

import pytest


class TestWords:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("blocks.5.mlp_out", "blocks.5.mlp_out=zero"),
            ("blocks.5.mlp_out@-1,0:2", "blocks.5.mlp_out=zero@-1,0:2"),
            (" embed@3 ", "embed=zero@3"),
        ],
    )
    def test_what_is_ablated_is_zeroed_at_its_positions(self, typed, meant):
        assert ablation(typed) == Edit(meant)

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("v.npz*4", "blocks.9.resid_post=add:v.npz*4"),
            ("v.npz", "blocks.9.resid_post=add:v.npz"),
            ("a b/v.npz*-0.5@-1", "blocks.9.resid_post=add:a b/v.npz*-0.5@-1"),
        ],
    )
    def test_a_vector_is_added_where_the_cursor_stands(self, typed, meant):
        assert steering(typed, "blocks.9.resid_post") == Edit(meant)

    def test_spaces_around_the_sign_do_not_count(self):
        assert intervention(" blocks.5.attn_out = scale:0.5") == Edit("blocks.5.attn_out=scale:0.5")

    @pytest.mark.parametrize(
        ("made", "typed"),
        [(intervention, "blocks.5"), (intervention, "=zero"), (ablation, "blocks.5.mlp_out=zero"),
         (ablation, "@3")],
    )  # fmt: skip
    def test_what_is_mistyped_is_answered_with_an_example(self, made, typed):
        with pytest.raises(BadInput, match=r"for example blocks\.5"):
            made(typed)

    def test_a_vector_is_a_file(self):
        with pytest.raises(BadInput, match=r"for example happy.npz\*4"):
            steering("4", "embed")

    def test_at_a_cell_its_block_s_parts_are_proposed_everywhere_or_there_alone(self):
        assert ablations_at("blocks.5.resid_post", 5, 3) == [
            "blocks.5.mlp_out", "blocks.5.attn_out",
            "blocks.5.mlp_out@3", "blocks.5.attn_out@3", "blocks.5.resid_post@3",
        ]  # fmt: skip
        assert ablations_at("embed", -1, 3) == ["embed@3"]


class TestStack:
    def test_the_last_one_is_undone_first(self):
        both = NO_EDITS.adding(Edit("a=zero")).adding(Edit("b=zero"))
        assert both.without_last() == Edits((Edit("a=zero"),))
        assert (both.count_in_words, NO_EDITS.count_in_words) == ("2 edits on", "")

    def test_without_any_there_is_nothing_to_undo(self):
        with pytest.raises(BadInput, match="no edit is on"):
            NO_EDITS.without_last()

    def test_the_same_one_twice_is_refused(self):
        with pytest.raises(BadInput, match="on already"):
            NO_EDITS.adding(Edit("a=zero")).adding(Edit("a=zero"))

    def test_all_patches_come_from_one_prompt(self):
        once = NO_EDITS.adding(Edit("embed@1", "one"))
        assert once.adding(Edit("embed@2", "one")).patched_from == "one"
        with pytest.raises(BadInput, match="from 'one'"):
            once.adding(Edit("embed@2", "other"))

    def test_a_request_holds_them_and_gives_them_back(self):
        made = NO_EDITS.adding(Edit("embed@1", "one")).adding(Edit("blocks.0.mlp_out=zero"))
        request = LogitLens(prompt="two", **made.request_fields())
        assert request.patch_prompt == "one"
        assert edits_of(request) == made
        assert edits_of(LogitLens(prompt="two", **NO_EDITS.request_fields())) == NO_EDITS


def run(prompt: str, *ids: int) -> LensRun:
    return LensRun(LogitLens(prompt=prompt), layers=2).read([str(id) for id in ids], list(ids))


class TestPatch:
    """From the run beside it, at the position that corresponds."""

    def test_prompts_of_one_length_correspond_position_by_position(self):
        found = patch_at(run("Rome", 1, 7, 3), Cell(1, 1), run("Paris", 1, 8, 3))
        assert found == Edit("blocks.1.resid_post@1", "Paris")

    def test_the_last_tokens_of_a_longer_prompt_are_taken_from_its_end(self):
        found = patch_at(run("Rome", 1, 7, 3), Cell(-1, 2), run("the Hague", 1, 8, 9, 3))
        assert found == Edit("embed@2<3", "the Hague")

    def test_a_position_without_a_counterpart_is_refused(self):
        with pytest.raises(BadInput, match="position 1 '7' has no counterpart in 'the Hague'"):
            patch_at(run("Rome", 1, 7, 3), Cell(-1, 1), run("the Hague", 1, 8, 9, 3))

    @pytest.mark.parametrize("source", [None, run("Rome", 1, 7, 3)])
    def test_there_has_to_be_another_prompt(self, source):
        with pytest.raises(BadInput, match="o opens a second prompt"):
            patch_at(run("Rome", 1, 7, 3), Cell(0, 0), source)
