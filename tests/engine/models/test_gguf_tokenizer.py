"""The tokenizer inside a GGUF file cuts text as the model's own one does."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.gguf_tokenizer import CUTS, Vocabulary, merges_from_scores
from mlxterp_engine.models.tokens import Tokens

import pytest
import sentencepiece
from gguf import GGUFWriter

TRAINING = """the capital of France is Paris, and the capital of Spain is Madrid
naïve cafés open at 7:30; they close at 19:45 — or so they say
when Mary and John went to the store, John gave a drink to Mary
""".splitlines()
USER_DEFINED = ["▁▁", "▁▁▁", "▁▁▁▁", "<td>"]
TEXTS = [
    "the capital of France is Paris",
    "  two spaces,  three   spaces and a trailing one ",
    "naïve cafés — 7:30",
    "unseen: 🦆 日本語 ẞ",
    "a\nb\n\nc\td",
    "x",
    "MaryMaryMary storestore",
]


@pytest.fixture(scope="module")
def sentence_piece(tmp_path_factory) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece BPE model as Llama 2 has it: byte fallback, a space put in front."""
    folder = tmp_path_factory.mktemp("spm")
    (folder / "text.txt").write_text("\n".join(TRAINING * 30))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "m"), vocab_size=400,
        model_type="bpe", byte_fallback=True, split_digits=True, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=1.0,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "m.model"))


@pytest.fixture(scope="module")
def gemma_like(tmp_path_factory) -> sentencepiece.SentencePieceProcessor:
    """As Gemma has it: no space put in front, and runs of spaces are user-defined pieces."""
    folder = tmp_path_factory.mktemp("gemma")
    (folder / "text.txt").write_text("\n".join(TRAINING * 30))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "m"), vocab_size=400,
        model_type="bpe", byte_fallback=True, split_digits=True, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=1.0, add_dummy_prefix=False, user_defined_symbols=USER_DEFINED,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "m.model"))


def as_gguf(model: sentencepiece.SentencePieceProcessor, **flags: bool):
    def add(writer: GGUFWriter) -> None:
        size = model.get_piece_size()
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([stored(model.id_to_piece(i)) for i in range(size)])
        writer.add_token_scores([model.get_score(i) for i in range(size)])
        writer.add_token_types([kind(model, i) for i in range(size)])
        for flag, value in flags.items():
            getattr(writer, f"add_{flag}")(value)

    return add


def stored(piece: str) -> str:
    """llama.cpp's converter writes user-defined pieces as the text that they match."""
    return piece.replace("▁", " ") if piece in USER_DEFINED else piece


def kind(model: sentencepiece.SentencePieceProcessor, i: int) -> int:
    if model.id_to_piece(i) in USER_DEFINED:
        return 4
    if model.is_unknown(i):
        return 2
    return 3 if model.is_control(i) else 6 if model.is_byte(i) else 1


def vocabulary(path: Path) -> Vocabulary:
    return read_gguf(path).vocabulary


@pytest.mark.parametrize("text", TEXTS)
def test_sentencepiece_ids_are_sentencepieces_own(tiny_gguf, sentence_piece, text):
    found = Tokens.of(vocabulary(tiny_gguf(tokenizer=as_gguf(sentence_piece))))

    ids = found.encode(text)
    assert ids == [1, *sentence_piece.encode(text)]
    assert found.decode(ids[1:]) == text
    assert found.encode(text, bos="off") == ids[1:]


@pytest.mark.parametrize("text", [*TEXTS, "<td>Paris    <td> 7", "         x", "a <t d>  b"])
def test_user_defined_pieces_are_cut_as_sentencepiece_cuts_them(tiny_gguf, gemma_like, text):
    path = tiny_gguf(tokenizer=as_gguf(gemma_like, add_space_prefix=False))
    found = Tokens.of(vocabulary(path))

    ids = found.encode(text, bos="off")
    assert ids == gemma_like.encode(text)
    assert found.decode(ids) == text


def test_a_user_defined_piece_is_one_token_by_its_text(tiny_gguf, gemma_like):
    path = tiny_gguf(tokenizer=as_gguf(gemma_like, add_space_prefix=False))
    found = Tokens.of(vocabulary(path))

    assert [found.single(text) for text in ("   ", "<td>", " the")] == [
        gemma_like.piece_to_id(piece) for piece in ("▁▁▁", "<td>", "▁the")
    ]


def test_sentencepiece_strings_are_exact(tiny_gguf, sentence_piece):
    found = Tokens.of(vocabulary(tiny_gguf(tokenizer=as_gguf(sentence_piece))))

    ids = found.encode("the capital 🦆 ")
    shown = found.strings(ids)
    assert shown[:3] == ["<s>", " the", " capital"]
    assert "".join(shown[1:]) == " the capital ⟨f0⟩⟨9f⟩⟨a6⟩⟨86⟩ "
    assert found.strings([found.single(" capital")]) == [" capital"]
    with pytest.raises(BadInput, match="give one, for example ' capital'"):
        found.single("capital")


def test_what_the_file_says_of_bos_and_prefix_counts(tiny_gguf, sentence_piece):
    flags = {"add_bos_token": False, "add_space_prefix": False}
    found = Tokens.of(vocabulary(tiny_gguf(tokenizer=as_gguf(sentence_piece, **flags))))

    assert not found.adds_bos
    assert found.strings(found.encode(" capital")) == [" capital"]
    assert "".join(found.strings(found.encode("capital"))) == "capital"
    assert (found.bos_id, found.eos_ids) == (1, (2,))


def test_merges_follow_the_scores():
    tokens, scores = ["<unk>", "a", "b", "c", "bc", "ab", "abc"], [0, -9, -9, -9, -1, -2, -3]
    merges = merges_from_scores(tokens, [2, 1, 1, 1, 1, 1, 1], [float(s) for s in scores])
    assert merges == [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]


@pytest.mark.parametrize(
    ("pre", "words"),
    [
        ("gpt-2", ["I", "'ll", " pay", " 1234", "$", " TODAY", "'", "S", "\n ", " x"]),
        ("smollm", ["I", "'ll", " pay", " ", "1", "2", "3", "4", "$", " TODAY", "'", "S"]),
        ("llama-bpe", ["I", "'ll", " pay", " ", "123", "4", "$", " TODAY", "'S", "\n", " ", " x"]),
        ("qwen2", ["I", "'ll", " pay", " ", "1", "2", "3", "4", "$", " TODAY", "'S", "\n"]),
        ("tekken", ["I", "'ll", " pay", " ", "1", "2", "3", "4", "$", " TODAY", "'S", "\n"]),
        ("gpt-4o", ["I'll", " pay", " ", "123", "4", "$", " TODAY'S", "\n", " ", " x"]),
    ],
)
def test_words_are_cut_by_the_rule_that_the_file_names(pre, words):
    text = "I'll pay 1234$ TODAY'S\n  x"
    cut = [text[start:end] for _, (start, end) in CUTS[pre].words().pre_tokenize_str(text)]
    assert cut[: len(words)] == words


def test_each_rule_keeps_every_byte(tiny_gguf, byte_level):
    text = "I'll pay 1234$ TODAY'S\n  naïve 🦆 日本 \r\n\n\t x  "
    for pre in CUTS:
        found = vocabulary(tiny_gguf(tokenizer=byte_level(pre))).tokenizer
        assert found.decode(found.encode(text).ids, skip_special_tokens=False) == text


def test_a_rule_that_is_not_known_is_refused(tiny_gguf, byte_level):
    for pre in ("kimi-k2", None):
        with pytest.raises(BadInput, match=rf"by the rule {pre!r}, which is not known here"):
            vocabulary(tiny_gguf(tokenizer=byte_level(pre)))


@pytest.mark.parametrize(("pre", "adds"), [("llama-bpe", True), ("gpt-2", False)])
def test_a_file_that_is_silent_on_bos_follows_its_kind(tiny_gguf, byte_level, pre, adds):
    found = vocabulary(tiny_gguf(tokenizer=byte_level(pre, adds_bos=None)))
    assert found.adds_bos is adds
    assert found.tokenizer.encode("a").ids[:1] == ([1] if adds else found.tokenizer.encode("a").ids)


def test_merges_build_words_in_their_order(tiny_gguf, byte_level):
    found = vocabulary(tiny_gguf(tokenizer=byte_level("smollm"))).tokenizer
    assert found.encode("a the <|end|>12").tokens == ["a", "Ġthe", "Ġ", "<|end|>", "1", "2"]


def test_other_kinds_of_tokenizer_are_refused(tiny_gguf):
    with pytest.raises(BadInput, match=r"kind 'bert'; there are read: gpt2, llama"):
        vocabulary(tiny_gguf(tokenizer=lambda writer: writer.add_tokenizer_model("bert")))


def test_a_vocabulary_that_contradicts_itself_is_refused(tiny_gguf):
    def twice(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(["a", "a"])

    def merges_of_nothing(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(["a", "b"])
        writer.add_token_merges(["x y"])

    with pytest.raises(BadInput, match="contradicts itself"):
        vocabulary(tiny_gguf(tokenizer=twice))
    with pytest.raises(BadInput, match="its tokenizer is corrupt"):
        vocabulary(tiny_gguf(tokenizer=merges_of_nothing))
