"""Two prompts token under token, before anything is run: what differs, what is marked, what is
wrong and the way out of it."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.alignment import align
from mlxterp_tui.panes.patch import prompts, sets
from mlxterp_tui.panes.patch.aligned_text import (
    Aligned,
    Answered,
    columns,
    figure,
    in_words,
    marks_in_words,
    moved,
    under_noise,
)
from mlxterp_tui.panes.patch.answers import checked
from mlxterp_tui.panes.patch.question import PatchQuestion
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.subject import chosen, proposed, span_of, text_at

import made_patching as made
import msgspec
import pytest

CLEAN = ["When", " Mary", " and", " John", ",", " John", " gave"]
CORRUPT = ["When", " Mary", " and", " John", ",", " Mary", " gave"]
LONGER = ["When", " Mary", " and", " John", ",", " Mary", " Ann", " gave"]
NEEDLE = ["The", " Space", " Need", "le", " is", " in"]


class TestColumns:
    def test_each_token_stands_over_its_counterpart_as_wide_as_the_wider_one(self):
        found = columns(Aligned(align(["a", " bcd", "e"], ["a", " f", "e"])))
        assert [(c.clean, c.corrupt, c.x, c.width) for c in found] == [
            ("a", "a", 0, 1),
            ("·bcd", "·f", 2, 4),
            ("e", "e", 7, 1),
        ]
        assert [c.differs for c in found] == [False, True, False]

    def test_of_prompts_that_don_t_fit_the_longest_shared_stretches_stand_under_one_another(self):
        found = columns(Aligned(align(CLEAN, LONGER)))
        assert [(c.clean, c.corrupt) for c in found[5:]] == [
            ("╌╌╌╌╌", "·Mary"),
            ("·John", "·Ann"),
            ("·gave", "·gave"),
        ]
        assert [c.position for c in found[5:]] == [None, 5, 6]

    def test_under_noise_the_second_row_is_the_same_prompt_and_its_subject_noise(self):
        found = columns(under_noise(NEEDLE, (1, 4), "3σ noise"))
        assert [c.corrupt for c in found] == ["The", "≈≈≈≈≈≈", "≈≈≈≈≈", "≈≈", "·is", "·in"]
        assert not any(c.differs for c in found)

    def test_without_a_second_prompt_there_is_only_the_first(self):
        found = columns(Aligned(align(CLEAN, ())))
        assert [c.position for c in found] == list(range(7))

    def test_a_very_long_token_does_not_take_the_screen(self):
        assert columns(Aligned(align(["x" * 50], ["y"])))[0].width == 18


class TestWords:
    def test_prompts_that_fit_need_no_words(self):
        assert in_words(Aligned(align(CLEAN, CORRUPT))) == ""

    def test_unequal_lengths_name_what_became_what_and_the_ways_out(self):
        said = in_words(Aligned(align(CLEAN, LONGER)))
        assert said.startswith("7 and 8 tokens: ' John' (1 token) became ' Mary Ann' (2), so that")
        for way_out in ("b offers", "o changes", "O pads"):
            assert way_out in said

    @pytest.mark.parametrize(
        ("clean", "corrupt", "said"),
        [
            ("ab", "abc", "'c' (1) was added"),
            ("abc", "ab", "'c' (1 token) is missing"),
            ("axyb", "acb", "'xy' (2 tokens) became 'c' (1)"),
        ],
    )
    def test_whatever_the_change_is_it_is_named(self, clean, corrupt, said):
        assert said in in_words(Aligned(align([*clean], [*corrupt])))

    def test_the_same_prompt_twice_can_t_be_patched(self):
        assert in_words(Aligned(align(CLEAN, CLEAN))).startswith("Both prompts are the same")

    def test_no_second_prompt_names_the_two_ways_to_one(self):
        said = in_words(Aligned(align(CLEAN, ())))
        assert said.startswith("There is no corrupt prompt yet: o types one, b offers")

    def test_prompts_of_one_length_that_share_little_are_doubted(self):
        """More than half of the tokens differ: they are hardly two versions of one prompt."""
        said = in_words(Aligned(align([*"abcd"], [*"xyzd"])))
        assert said.startswith("3 of 4 tokens differ")
        assert in_words(Aligned(align([*"abcd"], [*"xycd"]))) == ""

    def test_what_was_refused_comes_first_and_answers_add_their_faults(self):
        wrong = Answered("wrong", " Johnny boy", fault="wrong is 3 tokens.")
        said = in_words(Aligned(align(CLEAN, CLEAN), answers=(wrong,), says="This takes 3 min."))
        assert said == "This takes 3 min. wrong is 3 tokens."

    def test_the_line_of_marks_has_its_key(self):
        aligned = Aligned(align(CLEAN, CORRUPT), (5, 6))
        assert marks_in_words(aligned) == "▲ differs · └┘ subject 5"
        noised = under_noise(NEEDLE, (1, 4), "3σ noise, 10 draws")
        assert marks_in_words(noised) == "≈ 3σ noise, 10 draws · └┘ subject 1 to 3"

    def test_a_figure_has_a_minus_as_wide_as_a_digit(self):
        assert figure("LD", -5.494) == "LD −5.49"
        assert figure("LD", None) == ""


class TestMarkedWords:
    def test_what_differs_is_marked(self):
        assert chosen(align(CLEAN, CORRUPT)) == (5, 6)

    def test_while_nothing_differs_the_first_name_behind_the_beginning_is(self):
        assert chosen(align(CLEAN, ())) == (1, 2)
        assert proposed(NEEDLE) == (1, 4)

    def test_without_a_name_it_is_the_first_word(self):
        assert proposed(["Th", "e", " cat"]) == (0, 2)
        assert proposed([]) is None

    def test_tokens_that_were_only_added_mark_nothing_of_the_first_prompt(self):
        assert chosen(align([*"ab"], [*"axb"])) == (0, 2)

    @pytest.mark.parametrize(
        ("end", "by", "span"),
        [
            ("first", -1, (1, 4)),
            ("first", 1, (3, 4)),
            ("first", 9, (3, 4)),
            ("first", -9, (0, 4)),
            ("last", 1, (2, 5)),
            ("last", -9, (2, 3)),
            ("last", 9, (2, 6)),
        ],
    )
    def test_its_ends_move_and_it_is_never_empty_nor_beyond_the_prompt(self, end, by, span):
        assert moved((2, 4), end, by, tokens=6) == span

    def test_a_subject_has_its_words_and_words_their_tokens(self):
        assert text_at(NEEDLE, (1, 4)) == "Space Needle"
        assert span_of(NEEDLE, "Space Needle") == (1, 4)

    def test_words_that_begin_inside_a_token_take_all_of_it(self):
        assert span_of(NEEDLE, "Needle") == (2, 4)
        assert span_of(NEEDLE, "eed") == (2, 3)

    def test_words_are_found_where_they_first_stand(self):
        assert span_of(CLEAN, "John") == (3, 4)

    def test_words_that_are_not_there_have_no_tokens(self):
        assert span_of(NEEDLE, "Eiffel") is None
        assert span_of(NEEDLE, "") is None


class TestAnswers:
    def test_one_token_is_as_it_should_be(self):
        answer = Answered("answer", " Mary")
        assert checked(answer, [" Mary"], "gave a drink to") == answer

    def test_several_tokens_are_refused_with_their_first_named_and_offered(self):
        found = checked(Answered("wrong", " Johnny boy"), [" John", "ny", " boy"], "to")
        assert found.fault == (
            "wrong ' Johnny boy' is 3 tokens here (' John' + 'ny' + ' boy'); "
            "give one, for example its first, ' John'."
        )
        assert found.offered == " John"

    def test_a_first_token_of_nothing_but_space_is_not_offered(self):
        """As SentencePiece cuts a text that begins no word."""
        assert checked(Answered("wrong", "  John"), [" ", " John"]).offered == " John"

    def test_a_word_without_its_space_is_taken_and_doubted(self):
        found = checked(Answered("answer", "Mary"), ["Mary"], "a drink to")
        assert found.fault == ""
        assert "a word of its own is ' Mary'" in found.hint

    @pytest.mark.parametrize("prompt", ["a drink to ", ""])
    def test_behind_a_space_a_word_needs_none(self, prompt):
        assert checked(Answered("answer", "Mary"), ["Mary"], prompt).hint == ""

    def test_a_comma_needs_no_space(self):
        assert checked(Answered("answer", ","), [","], "a drink to").hint == ""

    def test_what_nothing_is_known_of_is_not_judged(self):
        assert checked(Answered("answer", "Mary"), (), "to") == Answered("answer", "Mary")


class TestSets:
    def test_pairs_are_named_and_counted(self):
        asked = sets.over_pairs(PatchQuestion(), "ioi 50")
        assert asked.own_options == {"pairs": "ioi", "count": 50}
        assert not asked.takes_two

    def test_a_file_is_seen_from_here(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        asked = sets.over_pairs(PatchQuestion(), "'my pairs.jsonl'")
        assert asked.own_options == {"pairs": str(tmp_path / "my pairs.jsonl")}

    def test_off_goes_back_to_the_prompts(self):
        asked = sets.over_pairs(PatchQuestion(answer=" a"), "ioi 50")
        assert sets.over_pairs(asked, "off") == PatchQuestion(answer=" a").with_options()

    def test_pairs_are_for_methods_that_take_them(self):
        assert sets.over_pairs(PatchQuestion(method="attribution"), "ioi").method == "attribution"
        assert sets.over_pairs(PatchQuestion(method="tracing"), "ioi").method == "activation"
        assert sets.over_pairs(PatchQuestion(method="path"), "ioi").method == "path"

    def test_facts_are_for_causal_tracing(self):
        asked = sets.over_facts(PatchQuestion(), "known 40")
        assert asked.method == "tracing"
        assert asked.own_options == {"facts": "known", "count": 40}

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("ioi many", "count is 'many'; give a whole number from 1"),
            ("ioi 3 4", ":pairs ioi 3 4 has a word too many"),
            ("'ioi", "can't be read"),
        ],
    )
    def test_a_mistyped_line_is_refused_in_words(self, words, said):
        with pytest.raises(BadInput, match=said):
            sets.over_pairs(PatchQuestion(), words)


def seen(question: PatchQuestion, run: PatchRun | None = None, **changed) -> Aligned:
    """What the rows show of the made prompts."""
    alignment = align(made.CLEAN, changed.pop("corrupt", made.CORRUPT))
    return prompts.shown(question, run or PatchRun(), alignment, (1, 2), **changed)


def roles(aligned: Aligned) -> list[tuple[str, str | None, str]]:
    return [(one.role, one.token, one.figure) for one in aligned.answers]


class TestRowsOfAQuestion:
    def test_answers_that_nobody_named_are_not_known_before_the_run(self):
        assert roles(seen(PatchQuestion())) == [("answer", None, ""), ("wrong", None, "")]

    def test_beside_each_prompt_stands_the_metric_of_its_run(self):
        shown = seen(PatchQuestion(), made.begun())
        assert roles(shown) == [("answer", " a", "LD 6.00"), ("wrong", " b", "LD −4.00")]

    def test_under_another_metric_nothing_is_said_of_what_the_run_measured(self):
        shown = seen(PatchQuestion(metric="prob"), made.begun())
        assert roles(shown) == [("answer", " a", ""), ("", "", "")]
        assert roles(seen(PatchQuestion(metric="kl"), made.begun())) == []

    def test_of_other_prompts_the_map_tells_nothing_and_that_is_said(self):
        shown = seen(PatchQuestion(), made.begun(), corrupt=["The", " cow", " sat"])
        assert roles(shown) == [("answer", None, ""), ("wrong", None, "")]
        assert "the map is of other prompts, Enter runs these" in marks_in_words(shown)
        assert "other prompts" not in marks_in_words(seen(PatchQuestion()))

    def test_a_set_takes_the_place_of_the_prompts(self):
        asked = sets.over_pairs(PatchQuestion(answer=" a"), "ioi 20")
        shown = seen(asked, corrupt=())
        assert shown.answers == ()
        assert shown.alignment.clean == ()
        said = "A set is asked: pairs of ioi; :pairs off comes back to the prompts above."
        assert in_words(shown) == said

    def test_by_spans_unequal_lengths_are_no_fault(self):
        longer = ["The", " old", " dog", " sat"]
        assert "positions behind it" in in_words(seen(PatchQuestion(), corrupt=longer))
        asked = PatchQuestion().with_options(align="spans")
        assert in_words(seen(asked, corrupt=longer)) == ""
        assert in_words(seen(asked, corrupt=longer, says="Refused.")) == "Refused."

    def test_padded_prompts_stand_as_they_are_run(self):
        longer = ["The", " old", " dog", " sat"]
        asked = PatchQuestion().with_options(pad=" _")
        found = prompts.as_asked(asked, made.CLEAN, longer)
        assert found.clean == ("The", " _", " cat", " sat")
        assert found.fits
        assert not prompts.as_asked(PatchQuestion(), made.CLEAN, longer).fits

    def test_causal_tracing_shows_its_noise_and_both_probabilities(self):
        ends = msgspec.structs.replace(made.ENDS, clean_metric=0.5, corrupt_metric=0.125)
        run = PatchRun(made.traced()).with_parts([made.STARTED, ends], made.CARD)
        asked = PatchQuestion(method="tracing").with_options(noise=2.5, samples=1)
        shown = seen(asked, run)
        assert shown.noise == "noise of 2.5σ, 1 draw"
        assert roles(shown) == [("answer", " a", "p 0.50"), ("", "", "p 0.12")]

    def test_a_subject_that_stands_twice_is_the_first_for_causal_tracing(self):
        tokens = ["Mary", " met", " Mary"]
        asked = PatchQuestion(method="tracing")
        shown = prompts.shown(asked, PatchRun(), align(tokens, ()), (2, 3))
        assert in_words(shown).startswith("'Mary' stands at position 0 first")
        assert shown.subject == (0, 1)  # where the noise is drawn, and goes
        assert in_words(prompts.shown(asked, PatchRun(), align(tokens, ()), (0, 1))) == ""

    def test_what_was_refused_is_said_whatever_else_is_the_matter(self):
        assert in_words(seen(PatchQuestion(), says="No model is open.")) == "No model is open."
