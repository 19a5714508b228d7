"""Patchscopes without a screen: what is asked next, what is known, how it is said."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput, GeneratedToken, Patchscope, Started
from mlxterp_tui.panes.patchscope import text as patchscope_text
from mlxterp_tui.panes.patchscope.pane import question_from_words
from mlxterp_tui.panes.patchscope.run import PatchscopeQuestion, PatchscopeRun, question_of
from mlxterp_tui.setting import Setting

import pytest

ASKED = PatchscopeQuestion("blocks.8.resid_post", 3)
SETTING = Setting(model="toy")


def run(question: PatchscopeQuestion = ASKED) -> PatchscopeRun:
    """Ten blocks, four tokens read, a target prompt of three."""
    begun = PatchscopeRun(question.request("a b c d", SETTING), "waiting", layers=10)
    return begun.read(
        Started([[1, 2, 3, 4], [5, 6, 7]], [["a", " b", " c", " d"], ["x", "->", "?"]])
    )


class TestQuestions:
    def test_a_question_is_a_request_and_back(self):
        request = ASKED.request("a b c d", SETTING)
        assert (request.site, request.position, request.model) == ("blocks.8.resid_post", 3, "toy")
        assert question_of(request) == ASKED

    def test_the_embeddings_are_read_as_what_block_0_reads(self):
        assert ASKED.at_state("embed", 1).site == "blocks.0.resid_pre"

    @pytest.mark.parametrize(
        ("blocks", "positions", "site", "position"),
        [
            (1, 0, "blocks.9.resid_post", 3),
            (5, 0, "blocks.9.resid_post", 3),
            (-20, 0, "blocks.0.resid_post", 3),
            (0, -1, "blocks.8.resid_post", 2),
            (0, 9, "blocks.8.resid_post", 3),
        ],
    )
    def test_the_state_moves_as_far_as_there_are_blocks_and_positions(
        self, blocks, positions, site, position
    ):
        moved = ASKED.moved(blocks, positions, run())
        assert (moved.site, moved.position) == (site, position)

    def test_a_negative_position_is_counted_before_it_moves(self):
        last = PatchscopeQuestion("blocks.8.resid_post", -1)
        assert last.moved(0, -1, run(last)).position == 2

    def test_the_state_is_written_into_another_block_from_its_own_on(self):
        assert ASKED.into(-1, layers=10).target_layer == 7
        assert ASKED.into(-1, 10).into(-1, 10).target_layer == 6
        assert ASKED.into(5, 10).target_layer == 9

    def test_what_belongs_to_no_block_is_written_into_itself_alone(self):
        with pytest.raises(BadInput, match="belongs to no block"):
            PatchscopeQuestion("embed", 0).into(1, 10)

    def test_it_is_written_over_another_token(self):
        assert ASKED.writing_at(-1, run().target_tokens).target_position == 1
        assert ASKED.writing_at(5, run().target_tokens).target_position == 2

    def test_another_target_prompt_is_written_over_at_its_end(self):
        asked = ASKED.writing_at(-1, run().target_tokens).in_prompt("Syria: x")
        assert (asked.target_prompt, asked.target_position) == ("Syria: x", -1)

    def test_there_is_always_one_token_to_write(self):
        assert ASKED.lasting(-50).max_tokens == 1
        assert ASKED.lasting(5000).max_tokens == 1000


class TestWords:
    def test_a_site_a_position_and_options(self):
        asked = question_from_words("blocks.3.resid_mid@-2 --target-layer 1 --max-tokens 4")
        assert asked == PatchscopeQuestion("blocks.3.resid_mid", -2, target_layer=1, max_tokens=4)
        assert question_from_words("blocks.3.resid_mid").position == -1

    @pytest.mark.parametrize(
        "words",
        ["blocks.3.resid_mid@x", "blocks.3.resid_mid --target-layer", "a --nothing", "'open"],
    )
    def test_what_is_wrong_is_said(self, words):
        with pytest.raises(BadInput):
            question_from_words(words)


class TestText:
    def test_the_places_are_said_with_their_tokens(self):
        assert patchscope_text.source(run()).plain == (
            "read     blocks.8.resid_post · position 3 ' d'"
        )
        assert "blocks.8.resid_post · position 2 of the target prompt '?'" in (
            patchscope_text.target(run()).plain
        )
        elsewhere = patchscope_text.target(run(ASKED.into(-1, 10))).plain
        assert "another block: blocks.7.resid_post" in elsewhere

    def test_the_text_grows_token_by_token_and_its_end_is_told(self):
        tokens = [
            GeneratedToken(index=at, id=at, token=text, text=text, logprob=-1.0)
            for at, text in enumerate((" d\n", "\x1b["))
        ]
        part = run().with_tokens(tokens[:1])
        assert patchscope_text.continuation(part).plain == " d\n…"
        whole = part.with_tokens(tokens[1:]).ended("cancelled", "")
        assert patchscope_text.continuation(whole).plain == " d\n⟨1b⟩[ (stopped)"

    def test_a_reading_is_one_line(self):
        part = run(ASKED.into(-2, 10))
        assert patchscope_text.reading(part) == "8.resid_post@3 → 6.resid_post\t"
        table = patchscope_text.tsv([part])
        assert table.splitlines()[1].startswith("blocks.8.resid_post\t3\t' d'\tblocks.6")


def test_the_request_is_the_headless_one():
    assert isinstance(ASKED.request("x", SETTING), Patchscope)
