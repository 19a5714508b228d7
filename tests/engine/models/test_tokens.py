"""Text to ids and back, as the model's own tokenizer does it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.token_strings import ALPHABET, LETTER, legible
from mlxterp_engine.models.tokenizer_folder import tokens_of_folder
from mlxterp_engine.models.tokens import Tokens

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, processors
from tokenizers import pre_tokenizers as cut

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
COMMON_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0x1FFFF), max_size=60
)
PIECES = ["<s>", "</s>", *LETTER.values(), "ab", "ĠP", "ĠPa"]


@pytest.fixture(scope="module")
def default(default_model_file: Path) -> Tokens:
    return Tokens.of(read_gguf(default_model_file).vocabulary)


def byte_level(adds_bos: bool, template: str | None = None) -> Tokens:
    """A byte-level tokenizer of a few pieces, with <s> as its BOS."""
    merges = [("a", "b"), ("Ġ", "P"), ("ĠP", "a")]
    tokenizer = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(PIECES)}, merges=merges))
    tokenizer.pre_tokenizer = cut.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in ("<s>", "</s>")])
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=["<s>", "$A"], pair=["<s>", "$A", "$B"], special_tokens=[("<s>", 0)]
        )
    return Tokens(tokenizer, bos_id=0, eos_ids=(1,), chat_template=template)


WHOLE_ALPHABET = byte_level(adds_bos=False)


def test_the_prompt_of_the_readme(default):
    ids = default.encode("The capital of France is")
    assert ids == [504, 3575, 282, 4649, 314]
    assert default.strings(ids) == ["The", " capital", " of", " France", " is"]


@given(text=ANY_TEXT)
def test_any_text_comes_back(text):
    assert WHOLE_ALPHABET.decode(WHOLE_ALPHABET.encode(text)) == text


@given(text=COMMON_TEXT)
def test_common_text_comes_back_from_the_default_model(default, text):
    assert default.decode(default.encode(text)) == text


def test_the_default_models_vocabulary_lacks_a_few_bytes_and_drops_them(default):
    """So does its own tokenizer: 0x16 and the lead bytes of planes 4 to 11 are no tokens."""
    assert default.strings(default.encode("a\x16b")) == ["a", "b"]


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_strings_join_to_the_text_where_no_character_is_split(default, text):
    assert "".join(default.strings(default.encode(text))) == text


@given(text=ANY_TEXT.filter(lambda text: not set("⟨⟩") & set(text)))
def test_strings_hold_every_byte_of_the_text(text):
    joined = "".join(WHOLE_ALPHABET.strings(WHOLE_ALPHABET.encode(text)))
    assert legible_bytes(joined) == text.encode()


def legible_bytes(shown: str) -> bytes:
    parts = shown.replace("⟩", "⟨").split("⟨")
    return b"".join(
        part.encode() if i % 2 == 0 else bytes.fromhex(part) for i, part in enumerate(parts)
    )


@given(text=ANY_TEXT)
def test_ids_are_the_same_each_time_and_within_the_vocabulary(default, text):
    ids = default.encode(text)
    assert default.encode(text) == ids
    assert all(0 <= i < default.vocab_size for i in ids)


@pytest.mark.parametrize("adds_bos", [True, False])
@given(text=ANY_TEXT, before=st.sampled_from(["", "<s>"]))
def test_on_means_exactly_one_bos(adds_bos, text, before):
    tokens = byte_level(adds_bos)
    bare = tokens.encode(text.lstrip("<s>"), bos="off")
    assert tokens.encode(before + text.lstrip("<s>"), bos="on") == [0, *bare]


def test_auto_does_what_the_tokenizer_does_and_off_adds_none():
    assert byte_level(adds_bos=True).encode("ab") == [0, PIECES.index("ab")]
    assert byte_level(adds_bos=False).encode("ab") == [PIECES.index("ab")]
    assert byte_level(adds_bos=True).encode("ab", bos="off") == [PIECES.index("ab")]
    assert byte_level(adds_bos=True).adds_bos
    assert not byte_level(adds_bos=False).adds_bos


def test_a_bos_that_was_typed_is_not_doubled():
    assert byte_level(adds_bos=True).encode("<s>ab") == [0, PIECES.index("ab")]


def test_bos_on_is_refused_where_there_is_none(default):
    without = Tokens(default._tokenizer)
    with pytest.raises(BadInput, match="no BOS token; give 'auto' or 'off'"):
        without.encode("a", bos="on")


def test_special_tokens_are_one_token_and_show_their_name(default):
    ids = default.encode("<|im_start|>user")
    assert ids[0] == 1
    assert default.strings(ids) == ["<|im_start|>", "user"]


def test_bytes_that_are_no_character_show_as_such(default):
    assert default.strings(default.encode("🦆")) == ["⟨f0⟩⟨9f⟩", "⟨a6⟩", "⟨86⟩"]
    assert legible(b"a\xe4b") == "a⟨e4⟩b"
    assert legible("ä🦆".encode()) == "ä🦆"


def test_the_byte_alphabet_is_gpt2s():
    assert (LETTER[ord(" ")], LETTER[ord("\n")], LETTER[0xAD]) == ("Ġ", "Ċ", "Ń")
    assert set(ALPHABET) == set(cut.ByteLevel.alphabet())


def test_ids_that_only_pad_the_embedding_say_so(default):
    assert default.strings([49160, -1]) == ["⟨id 49160⟩", "⟨id -1⟩"]


def test_single_takes_its_text_verbatim(default):
    assert default.strings([default.single(" Paris")]) == [" Paris"]
    assert default.single("Paris") != default.single(" Paris")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" Antananarivo", r"target ' Antananarivo' is 4 tokens here \(' Ant' \+ .*' Ant'$"),
        ("  Paris", r"is 2 tokens here \(' ' \+ ' Paris'\); give one, for example ' Paris'"),
        ("", "target is empty"),
    ],
)
def test_single_refuses_what_is_not_one_token(default, text, message):
    with pytest.raises(BadInput, match=message):
        default.single(text, "target")


def test_a_piece_of_a_text_is_one_token_wherever_single_finds_one(default):
    """An answer is checked on screen by this, and refused by the engine with the other."""
    assert default.pieces(" Paris") == [default.single(" Paris")]
    assert default.strings(default.pieces(" Antananarivo"))[0] == " Ant"
    assert default.pieces("") == []


def test_half_a_character_from_the_terminal_is_refused(default):
    with pytest.raises(BadInput, match="invalid character at 1"):
        default.encode("a\udce4")


def test_chat_is_rendered_as_transformers_renders_it(default, tmp_path):
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_object=default._tokenizer)
    theirs.chat_template = default._template
    message = [{"role": "user", "content": "Say <hi> & “ä”"}]
    expected = theirs.apply_chat_template(message, add_generation_prompt=True, tokenize=False)

    assert default.chat_text("Say <hi> & “ä”") == expected
    assert default.encode("Say <hi> & “ä”", chat=True) == default.encode(expected)


def test_the_templates_own_bos_counts():
    template = "{{ bos_token }}[{{ messages[0].content }}]"
    tokens = byte_level(adds_bos=True, template=template)

    for bos in ("auto", "on"):
        assert tokens.strings(tokens.encode("ab", bos=bos, chat=True)) == ["<s>", "[", "ab", "]"]
    assert tokens.strings(tokens.encode("ab", bos="off", chat=True)) == ["[", "ab", "]"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template; turn chat off"),
        ("{% if %}", "chat template is broken"),
        ("{{ raise_exception('no users') }}", "refuses this prompt .no users."),
        ("{{ messages[0].content + 1 }}", "refuses this prompt"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "refuses this prompt"),
    ],
)
def test_a_template_that_fails_is_refused(template, message):
    with pytest.raises(BadInput, match=message):
        byte_level(adds_bos=False, template=template).encode("ab", chat=True)


def test_generation_marks_and_loop_controls_are_understood():
    template = (
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% break %}{% endfor %}{{ messages | tojson }}"
    )
    text = byte_level(adds_bos=False, template=template).chat_text("<ä>")
    assert text == '<ä>[{"role": "user", "content": "<ä>"}]'


def test_many_threads_get_the_same(default):
    texts = [f"The capital of country {i} is 🦆 {i * i}" for i in range(200)]
    expected = [default.encode(text) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(default.encode, texts)) == expected
        assert list(threads.map(default.strings, expected)) == list(map(default.strings, expected))


# Folders.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    byte_level(adds_bos=False)._tokenizer.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path / "config.json", {"model_type": "llama", "eos_token_id": [1, 5]})
    return tmp_path


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("add", [True, False])
@pytest.mark.parametrize("built_in", [True, False])
def test_add_bos_token_is_followed_as_transformers_follows_it(folder, add, built_in):
    byte_level(adds_bos=built_in)._tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": add}
    write(folder / "tokenizer_config.json", settings)
    tokens = tokens_of_folder(folder)

    assert tokens.encode("ab") == [0] * add + [PIECES.index("ab")]
    assert (tokens.bos_id, tokens.eos_ids) == (0, (1, 5))


@pytest.mark.parametrize("place", ["jinja", "json", "config", "named"])
def test_a_chat_template_is_found_wherever_it_lies(folder, place):
    settings = {"bos_token": "<s>"}
    if place == "jinja":
        (folder / "chat_template.jinja").write_text("T")
    if place == "json":
        write(folder / "chat_template.json", {"chat_template": "T"})
    if place == "config":
        settings["chat_template"] = "T"
    if place == "named":
        named = [{"name": "tool", "template": "X"}, {"name": "default", "template": "T"}]
        settings["chat_template"] = named  # type: ignore[assignment]
    write(folder / "tokenizer_config.json", settings)

    assert tokens_of_folder(folder).chat_text("a") == "T"


def test_a_sentencepiece_folder_is_converted_by_transformers(folder):
    import sentencepiece

    (folder / "tokenizer.json").unlink()
    text = folder / "text.txt"
    text.write_text("the capital of France is Paris\nand that of Spain is Madrid\n" * 40)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=320,
        model_type="bpe", byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    write(folder / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"})
    tokens = tokens_of_folder(folder)

    assert (
        tokens.decode(tokens.encode("the capital is 🦆", bos="off")).strip() == "the capital is 🦆"
    )
    assert "".join(tokens.strings(tokens.encode("the capital", bos="off"))).strip() == "the capital"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", "{", "is no tokenizer"),
        ("tokenizer_config.json", "[1]", "holds no JSON object"),
        ("config.json", "{", "cannot be read"),
    ],
)
def test_broken_tokenizer_files_are_refused(folder, file, content, message):
    (folder / file).write_text(content)
    with pytest.raises(BadInput, match=message):
        tokens_of_folder(folder)


def test_a_folder_without_any_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"no tokenizer\.json"):
        tokens_of_folder(folder)


def test_a_folder_with_tokenizer_json_needs_no_transformers(folder):
    check = (
        "import sys; from pathlib import Path;"
        "from mlxterp_engine.models.tokenizer_folder import tokens_of_folder;"
        f"tokens_of_folder(Path({str(folder)!r})).encode('ab');"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
