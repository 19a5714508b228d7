"""Two prompts side by side, token by token."""

from mlxterp_engine.experiments.alignment import Difference, align

from hypothesis import given
from hypothesis import strategies as st

CLEAN = ["The", " Eiffel", " Tower", " is", " in"]


def test_prompts_of_one_length_differ_where_their_tokens_do():
    found = align(CLEAN, ["The", " Space", " Needle", " is", " at"])
    assert found.fits
    assert found.mismatches == (1, 2, 4)
    assert found.differences == (Difference((1, 3), (1, 3)), Difference((4, 5), (4, 5)))
    assert found.subject == (1, 5)
    assert found.uneven == ()


def test_a_word_of_fewer_tokens_is_found_and_called_uneven():
    found = align(CLEAN, ["The", " Louvre", " is", " in"])
    assert not found.fits
    assert found.uneven == (Difference((1, 3), (1, 2)),)
    assert found.subject == (1, 3)
    assert found.mismatches == ()
    assert found.rows() == [
        ("The", "The"),
        (" Eiffel", None),
        (" Tower", " Louvre"),
        (" is", " is"),
        (" in", " in"),
    ]


def test_equal_prompts_have_no_subject():
    found = align(CLEAN, CLEAN)
    assert found.fits
    assert found.subject is None
    assert found.rows() == [(token, token) for token in CLEAN]


def test_words_that_changed_places_differ_twice():
    found = align([" Mary", " and", " John"], [" John", " and", " Mary"])
    assert found.mismatches == (0, 2)
    assert len(found.differences) == 2


tokens = st.lists(st.sampled_from("abc"), min_size=1, max_size=8)


@given(tokens, tokens)
def test_rows_hold_both_prompts_whole_and_in_order(clean, corrupt):
    rows = align(clean, corrupt).rows()
    assert [a for a, _ in rows if a is not None] == clean
    assert [b for _, b in rows if b is not None] == corrupt
