"""Streamed text is the whole text, and no piece of it ends in half a character."""

from mlxterp_engine.tracing.text_stream import INCOMPLETE, TextStream

import pytest

TEXTS = [
    " a small café — and 東京, 🦊🦊 and more",
    "👩‍👩‍👧 family",
    "\n\n  spaces   stay\t ",
    "é",
    "plain words only",
]


@pytest.mark.parametrize("model", ["tiny", "smol"])
@pytest.mark.parametrize("prompt", ["Once", "at the café 🦊", ""])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_text_after_the_prompt(model, prompt, text, request):
    tokens = request.getfixturevalue(model).tokens
    before, after = tokens.encode(prompt, "off"), tokens.encode(text, "off")
    stream = TextStream(tokens, before)
    pieces = [stream.add(i) for i in after] + [stream.rest()]
    assert "".join(pieces) == tokens.decode(before + after).removeprefix(tokens.decode(before))
    assert not any(INCOMPLETE in piece for piece in pieces)


def test_a_character_of_several_tokens_comes_with_its_last_one(smol):
    ids = smol.tokens.encode(" 🦊", "off")
    assert len(ids) > 2
    stream = TextStream(smol.tokens, [])
    pieces = [stream.add(i) for i in ids]
    assert pieces[-1].endswith("🦊")
    assert "".join(pieces[:-1]).strip() == ""


def test_bytes_that_never_become_a_character_come_at_the_end(smol):
    ids = smol.tokens.encode("🦊", "off")[:-1]
    stream = TextStream(smol.tokens, smol.tokens.encode("a fox:"))
    assert "".join(stream.add(i) for i in ids) == ""
    assert set(stream.rest()) == {INCOMPLETE}


def test_bytes_that_never_become_a_character_do_not_hold_up_what_follows(smol):
    ids = smol.tokens.encode("🦊", "off")[:-1] + smol.tokens.encode(" then words", "off")
    stream = TextStream(smol.tokens, [])
    text = "".join(stream.add(i) for i in ids)
    assert text == smol.tokens.decode(ids)
    assert text.endswith(" then words")


def test_a_prompt_that_ends_within_a_character_is_completed(smol):
    ids = smol.tokens.encode("a 🦊 b", "off")
    inside = ids.index(smol.tokens.encode(" 🦊", "off")[-1])
    stream = TextStream(smol.tokens, ids[:inside])
    assert "".join(stream.add(i) for i in ids[inside:]).endswith("🦊 b")
