"""What is held out, and that nothing of it is trained on."""

from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.corpora.splitting import is_held_out, split, split_from
from mlxterp_engine.experiments import BadInput

import pytest

MANY = [Text(str(n), f"The text with the number {n}.") for n in range(30)]


def said(texts) -> set[str]:
    return {text.text for text in texts}


def test_of_many_texts_a_tenth_is_held_out_whole():
    found = split(MANY)
    assert len(found.held_out) == 3
    assert said(found.held_out) | said(found.training) == said(MANY)
    assert not said(found.held_out) & said(found.training)
    assert found.rule == "3 of 30 texts, by their SHA-256, are held out"


def test_neither_the_order_of_the_texts_nor_their_names_move_the_split():
    turned = [Text("other", text.text) for text in reversed(MANY)]
    assert said(split(turned).held_out) == said(split(MANY).held_out)


def test_a_text_that_stands_there_twice_is_on_one_side_once_and_that_is_said():
    found = split([*MANY, *MANY[:5]])
    assert len(found.training) + len(found.held_out) == 30
    assert "5 texts that stood there before left out" in found.rule


def test_of_a_single_text_the_last_tenth_is_held_out_cut_at_a_paragraph():
    text = "\n\n".join(f"Paragraph {n}." for n in range(20))
    found = split([Text("one", text)])
    assert found.held_out[0].text == "Paragraph 18.\n\nParagraph 19."
    assert found.training[0].text.endswith("Paragraph 17.\n\n")
    assert found.rule == "the last 1/10 of the text is held out"


def test_a_text_without_paragraphs_is_cut_at_a_line_or_a_word():
    lines, words = "\n".join(["line"] * 20), " ".join(["word"] * 20)
    assert split([Text("", lines)]).held_out[0].text == "line\nline"
    assert split([Text("", words)]).held_out[0].text == "word word"


def test_a_paragraph_that_is_held_out_stands_nowhere_in_the_training_text():
    text = "\n\n".join([f"Paragraph {n}." for n in range(18)] + ["The end."] * 2)
    found = split([Text("a", f"The end.\n\n{text}")])
    assert "The end." in found.held_out[0].text
    assert "The end." not in found.training[0].text
    assert "Paragraph 16." in found.training[0].text


def test_one_paragraph_alone_cant_be_split():
    for text in ("word", "same\n\nsame\n\nsame"):
        with pytest.raises(BadInput, match="without two different paragraphs can't be split"):
            split([Text("", text)])


def test_named_texts_are_held_out_and_those_in_both_are_not_trained_on():
    found = split_from(MANY, [MANY[3], Text("new", "Another text.")])
    assert said(found.held_out) == {MANY[3].text, "Another text."}
    assert said(found.training) == said(MANY) - {MANY[3].text}
    assert "1 text in both not trained on" in found.rule


def test_holding_out_everything_is_refused():
    with pytest.raises(BadInput, match="every text to train on is held out too"):
        split_from(MANY, MANY)


def test_of_a_stream_about_one_text_in_ten_is_held_out_and_always_the_same():
    chosen = [is_held_out(Text("", f"text {n}")) for n in range(2000)]
    assert 150 < sum(chosen) < 250
    assert chosen == [is_held_out(Text("another name", f"text {n}")) for n in range(2000)]
