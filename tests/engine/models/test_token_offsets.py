"""Which characters of a text each token stands for: what a subject is found by."""

from __future__ import annotations

from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.techniques.causal_tracing_subject import subject_span

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

TEMPLATE = "{% for m in messages %}<s>user {{ m['content'] | trim }}</s>{% endfor %}"


@pytest.fixture(scope="module")
def default(default_model_file) -> Tokens:
    return Tokens.of(read_gguf(default_model_file).vocabulary)


def sentence_piece(adds_bos: bool) -> Tokens:
    """Letters and ▁, which stands for a space and is put before the text; <s> is the BOS."""
    pieces = ["<s>", "</s>", "▁", *"abcdefghijklmnopqrstuvwxyzT", "▁c", "▁ca", "▁cat"]
    merges = [("▁", "c"), ("▁c", "a"), ("▁ca", "t")]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in ("<s>", "</s>")])
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=["<s>", "$A"], pair=["<s>", "$A", "$B"], special_tokens=[("<s>", 0)]
        )
    return Tokens(tokenizer, bos_id=0, eos_ids=(1,), chat_template=TEMPLATE)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
@pytest.mark.parametrize("bos", ["auto", "on", "off"])
def test_there_is_one_for_each_token_and_they_stand_in_order(default, text, bos):
    whole, offsets = default.offsets(text, bos)
    assert whole == text
    assert len(offsets) == len(default.encode(text, bos))
    starts = [start for start, end in offsets if start < end]
    assert starts == sorted(starts)
    assert all(0 <= start <= end <= len(text) for start, end in offsets)


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_they_cut_plain_text_into_its_tokens(default, text):
    _, offsets = default.offsets(text)
    tokens = default.strings(default.encode(text))
    for (start, end), token in zip(offsets, tokens, strict=True):
        assert text[start:end].strip() == token.strip()  # a space may be left out in front


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("bos", ["auto", "on", "off"])
def test_a_bos_in_front_stands_for_no_character(adds_bos, bos):
    tokens = sentence_piece(adds_bos)
    _, offsets = tokens.offsets("The cat sat", bos)
    in_front = tokens.encode("The cat sat", bos)[:1] == [0]
    assert in_front == (bos == "on" or (bos == "auto" and adds_bos))
    assert (offsets[0] == (0, 0)) == in_front


@pytest.mark.parametrize("bos", ["auto", "on", "off"])
@pytest.mark.parametrize("chat", [True, False])
def test_a_subject_is_the_same_word_wherever_the_prompt_stands(bos, chat):
    """The template trims what stands around the message."""
    tokens = sentence_piece(adds_bos=True)
    prompt = "  the cat sat "
    ids = tokens.encode(prompt, bos, chat)
    start, end = subject_span(tokens, prompt, "cat", bos, chat)
    assert tokens.strings(ids[start:end]) == [" cat"]


def test_a_template_of_the_default_model_is_read_whole(default):
    whole, offsets = default.offsets("The cat sat", chat=True)
    assert whole == default.chat_text("The cat sat")
    assert len(offsets) == len(default.encode("The cat sat", chat=True))
    at = whole.index("cat")
    assert sum(start <= at < end for start, end in offsets) == 1
