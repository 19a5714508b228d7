"""The tokenizer inside a GGUF file, as a `tokenizers.Tokenizer`.

Two kinds: byte-level BPE ("gpt2"), whose words are cut by a rule that the file only names,
and SentencePiece BPE ("llama"), whose merges follow from the scores of its pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_reader import GGUF

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, processors
from tokenizers import pre_tokenizers as cut
from tokenizers.models import BPE

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and what a prompt needs besides: BOS, end tokens, chat template.

    With `adds_bos` the tokenizer itself puts the BOS in front, as the model expects it.
    """

    tokenizer: Tokenizer = field(repr=False)
    bos_id: int | None
    eos_ids: tuple[int, ...]
    adds_bos: bool
    chat_template: str | None


@dataclass(frozen=True)
class Cut:
    """How a byte-level BPE cuts text into words, after the tokenizer.json of such models."""

    words: Callable[[], cut.PreTokenizer]
    whole_words_first: bool = False  # a word that is a token is not built from merges
    adds_bos: bool = False  # when the file does not say
    nfc: bool = False


def _gpt2() -> cut.PreTokenizer:
    return cut.ByteLevel(add_prefix_space=False, use_regex=True)


def _digits_one_by_one() -> cut.PreTokenizer:
    return cut.Sequence([cut.Digits(individual_digits=True), _gpt2()])


def _by(pattern: str) -> Callable[[], cut.PreTokenizer]:
    return lambda: cut.Sequence(
        [
            cut.Split(Regex(pattern), behavior="isolated"),
            cut.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_START = r"[^\r\n\p{L}\p{N}]?"
THREE_DIGITS = rf"{_ENDINGS}|{_START}\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
ONE_DIGIT = rf"{_ENDINGS}|{_START}\p{{L}}+|\p{{N}}|{_REST}"
TEKKEN = rf"{_START}{_UPPER}*{_LOWER}+|{_START}{_UPPER}+{_LOWER}*|\p{{N}}|{_TAIL}"
GPT_4O = (
    rf"{_START}{_UPPER}*{_LOWER}+{_ENDINGS}?|{_START}{_UPPER}+{_LOWER}*{_ENDINGS}?"
    rf"|\p{{N}}{{1,3}}|{_TAIL}"
)

GPT2_CUT = Cut(_gpt2)
DIGITS_CUT = Cut(_digits_one_by_one)
LLAMA3_CUT = Cut(_by(THREE_DIGITS), whole_words_first=True, adds_bos=True)

# By `tokenizer.ggml.pre`. A name that is not here is refused: where words end would be a guess.
CUTS: dict[str, Cut] = {
    "default": GPT2_CUT,
    "gpt-2": GPT2_CUT,
    "gpt2": GPT2_CUT,
    "phi-2": GPT2_CUT,
    "mpt": GPT2_CUT,
    "olmo": GPT2_CUT,
    "smollm": DIGITS_CUT,
    "starcoder": DIGITS_CUT,
    "refact": DIGITS_CUT,
    "command-r": DIGITS_CUT,
    "codeshell": DIGITS_CUT,
    "llama3": LLAMA3_CUT,
    "llama-v3": LLAMA3_CUT,
    "llama-bpe": LLAMA3_CUT,
    "falcon3": LLAMA3_CUT,
    "dbrx": Cut(_by(THREE_DIGITS)),
    "smaug-bpe": Cut(_by(THREE_DIGITS)),
    "qwen2": Cut(_by(ONE_DIGIT), nfc=True),
    "deepseek-r1-qwen": Cut(_by(ONE_DIGIT)),
    "stablelm2": Cut(_by(ONE_DIGIT)),
    "tekken": Cut(_by(TEKKEN), whole_words_first=True, adds_bos=True),
    "gpt-4o": Cut(_by(GPT_4O)),
}


def vocabulary_of(file: GGUF) -> Vocabulary:
    """The file's tokenizer. BadInput: none, or one whose word boundaries are not known."""
    kind = file.get("tokenizer.ggml.model")
    if kind not in BUILDERS:
        raise BadInput(
            f"{file.path} has a tokenizer of kind {kind!r}; there are read: "
            f"{', '.join(BUILDERS)}; open the model as an mlx-lm folder"
        )
    tokens, types = _tokens(file)
    try:
        tokenizer, adds_bos = BUILDERS[kind](file, tokens, types)
    except BadInput:
        raise
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise BadInput(
            f"{file.path}: its tokenizer is corrupt ({error}); fetch the file again"
        ) from None
    tokenizer.add_tokens(list(_added(tokens, types)))
    adds_bos = bool(file.get("tokenizer.ggml.add_bos_token", adds_bos))
    bos = _id(file, "bos_token_id", tokens, 1 if kind == "llama" else None)
    if adds_bos and bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[tokens[bos], "$A"],
            pair=[tokens[bos], "$A", "$B"],
            special_tokens=[(tokens[bos], bos)],
        )
    return Vocabulary(
        tokenizer=tokenizer,
        bos_id=bos,
        eos_ids=_ends(file, tokens, 2 if kind == "llama" else None),
        adds_bos=adds_bos and bos is not None,
        chat_template=file.get("tokenizer.chat_template"),
    )


def _tokens(file: GGUF) -> tuple[list[str], list[int]]:
    tokens = file.get("tokenizer.ggml.tokens")
    if not tokens:
        raise BadInput(f"{file.path} has no vocabulary; open the model as an mlx-lm folder")
    types = file.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    if len(types) != len(tokens) or len(set(tokens)) != len(tokens):
        raise BadInput(f"{file.path}: its vocabulary contradicts itself; fetch the file again")
    return tokens, types


def _added(tokens: list[str], types: list[int]) -> Iterable[AddedToken]:
    """Tokens that are recognised in text as they stand: control and user-defined ones."""
    for token, kind in zip(tokens, types, strict=True):
        if kind in (UNKNOWN, CONTROL, USER_DEFINED):
            yield AddedToken(token, special=kind != USER_DEFINED, normalized=False)


def _byte_level(file: GGUF, tokens: list[str], types: list[int]) -> tuple[Tokenizer, bool]:
    name = file.get("tokenizer.ggml.pre")
    if name not in CUTS:
        raise BadInput(
            f"{file.path} cuts words by the rule {name!r}, which is not known here "
            f"(known: {', '.join(CUTS)}); open the model as an mlx-lm folder"
        )
    rule = CUTS[name]
    merges = [tuple(merge.split(" ", 1)) for merge in file.get("tokenizer.ggml.merges", [])]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        BPE(vocab=vocabulary, merges=merges, ignore_merges=rule.whole_words_first)
    )
    if rule.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = rule.words()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, rule.adds_bos


def _sentence_piece(file: GGUF, tokens: list[str], types: list[int]) -> tuple[Tokenizer, bool]:
    scores = file.get("tokenizer.ggml.scores")
    if scores is None or len(scores) != len(tokens):
        raise BadInput(f"{file.path} has no score for each piece; fetch the file again")
    unknown = tokens[_id(file, "unknown_token_id", tokens, 0) or 0]
    model = BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=merges_from_scores(tokens, types, scores),
        unk_token=unknown,
        fuse_unk=True,
        byte_fallback=BYTE in types,
    )
    tokenizer = Tokenizer(model)
    spaces: list[Any] = [normalizers.Replace(" ", "▁")]
    ends: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if file.get("tokenizer.ggml.add_space_prefix", True):
        spaces.insert(0, normalizers.Prepend("▁"))
        ends.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(spaces)
    tokenizer.decoder = decoders.Sequence(ends)
    return tokenizer, True


def merges_from_scores(
    tokens: list[str], types: list[int], scores: list[float]
) -> list[tuple[str, str]]:
    """SentencePiece joins the pair whose piece scores highest: as an ordered list of merges."""
    ids = {token: i for i, token in enumerate(tokens) if types[i] in (NORMAL, USER_DEFINED, UNUSED)}
    merges = []
    for token, i in ids.items():
        if types[i] != NORMAL:
            continue
        for at in range(1, len(token)):
            a, b = token[:at], token[at:]
            if a in ids and b in ids:
                merges.append((-scores[i], i, ids[a], ids[b], a, b))
    return [(a, b) for *_, a, b in sorted(merges)]


def _id(file: GGUF, key: str, tokens: list[str], default: int | None) -> int | None:
    value = file.get(f"tokenizer.ggml.{key}", default)
    return value if value is not None and 0 <= value < len(tokens) else None


def _ends(file: GGUF, tokens: list[str], default: int | None) -> tuple[int, ...]:
    ids = [_id(file, "eos_token_id", tokens, default)]
    ids += [_id(file, key, tokens, None) for key in ("eot_token_id", "eom_token_id")]
    return tuple(dict.fromkeys(i for i in ids if i is not None))


BUILDERS: dict[str, Callable[[GGUF, list[str], list[int]], tuple[Tokenizer, bool]]] = {
    "gpt2": _byte_level,
    "llama": _sentence_piece,
}
