"""Text to ids and back, as the model's own tokenizer does it. Safe to call from any thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.request import Bos
from mlxterp_engine.models.chat_template import chat_renderer
from mlxterp_engine.models.gguf_tokenizer import Vocabulary
from mlxterp_engine.models.token_strings import space_mark, spelling

from tokenizers import Tokenizer


class Tokens:
    """What a model reads: `encode`, `strings`, `single`, `decode`.

    adds_bos: the model's own tokenizer begins every text with its BOS.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        bos_id: int | None = None,
        eos_ids: Iterable[int] = (),
        chat_template: str | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        self._spell = spelling(tokenizer)
        self._added = tokenizer.get_added_tokens_decoder()
        self._strings: dict[int, str] = {}
        self.bos_id = bos_id
        self.eos_ids = tuple(eos_ids)
        self.vocab_size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        self.adds_bos = bos_id is not None and tokenizer.encode("").ids[:1] == [bos_id]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Tokens:
        return cls(
            vocabulary.tokenizer,
            vocabulary.bos_id,
            vocabulary.eos_ids,
            vocabulary.chat_template,
        )

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that mark something and stand for no text: BOS, ends, turns, padding."""
        return frozenset(i for i, token in self._added.items() if token.special)

    @property
    def has_chat_template(self) -> bool:
        return self._template is not None

    def encode(self, text: str, bos: Bos = "auto", chat: bool = False) -> list[int]:
        """The ids of a text. Text of special tokens counts as those tokens.

        bos: "auto" as the model's tokenizer does, "on" with exactly one in front, "off"
        with none added. A text that begins with the BOS already gets no second one.
        chat: the text as a user's message in the model's chat template, whose own BOS counts.
        """
        if bos == "on" and self.bos_id is None:
            raise BadInput("bos is 'on' and this model has no BOS token; give 'auto' or 'off'")
        if chat:
            ids = self._plain(self.chat_text(text, with_bos=bos != "off"))
        elif bos == "off":
            ids = self._plain(text)
        else:
            ids = self._with_specials(text)
        if bos == "on" and self.bos_id is not None and ids[:1] != [self.bos_id]:
            return [self.bos_id, *ids]
        return ids

    def offsets(
        self, text: str, bos: Bos = "auto", chat: bool = False
    ) -> tuple[str, list[tuple[int, int]]]:
        """The text that is read, and of which of its characters each token of `encode` is made.

        (0, 0): of none, as a BOS in front. With chat the text is that of the whole template.
        """
        whole = self.chat_text(text, with_bos=bos != "off") if chat else text
        added = not chat and bos != "off"
        found = self._tokenizer.encode(_well_formed(whole), add_special_tokens=added).offsets
        in_front = len(self.encode(text, bos, chat)) - len(found)  # -1: one of two BOS is dropped
        return whole, [(0, 0)] * in_front + found[max(-in_front, 0) :]

    def strings(self, ids: Iterable[int]) -> list[str]:
        """For each id the exact text it stands for; joined they are the tokenizer's text.

        Bytes that are no UTF-8 alone show as ⟨e4⟩, special tokens by their name, ids that
        only pad the embedding as ⟨id 49160⟩. SentencePiece puts a space before the text;
        it is shown with the token that holds it.
        """
        return [self._string(i) for i in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The ids as running text, special tokens by their name."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def single(self, text: str, what: str = "the token") -> int:
        """The id of a text that is one token, taken verbatim with its leading space.

        BadInput says how it is split otherwise, and names a token that would do.
        """
        found = self._one(text)
        if found is not None:
            return found
        if not text:
            raise BadInput(f"{what} is empty; give one token, for example ' Paris'")
        parts = self.strings(self._plain(text))
        raise BadInput(
            f"{what} {text!r} is {len(parts)} tokens here ({' + '.join(map(repr, parts))}); "
            f"give one, for example {self._instead(text, parts)!r}"
        )

    def pieces(self, text: str) -> list[int]:
        """The ids of a text that stands within another: one id wherever `single` finds it."""
        found = self._one(text)
        return self._plain(text) if found is None else [found]

    def chat_text(self, message: str, with_bos: bool = True) -> str:
        """The message in the model's chat template, up to where the model should answer."""
        if self._template is None:
            raise BadInput("this model has no chat template; turn chat off")
        bos = self._string(self.bos_id) if with_bos and self.bos_id is not None else ""
        eos = self._string(self.eos_ids[0]) if self.eos_ids else ""
        return self._render(message, bos, eos)

    @cached_property
    def _render(self):
        assert self._template is not None
        return chat_renderer(self._template)

    def _plain(self, text: str) -> list[int]:
        return self._tokenizer.encode(_well_formed(text), add_special_tokens=False).ids

    def _with_specials(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(_well_formed(text)).ids
        twice = self.adds_bos and ids[:2] == [self.bos_id, self.bos_id]
        return ids[1:] if twice else ids

    def _string(self, i: int) -> str:
        known = self._strings.get(i)
        if known is None:
            known = self._strings[i] = self._spelled(i)
        return known

    def _spelled(self, i: int) -> str:
        piece = self._tokenizer.id_to_token(i) if i >= 0 else None
        if piece is None:
            return f"⟨id {i}⟩"
        if i in self._added and (self._mark is None or self._added[i].special):
            return piece
        if self._spell is None:
            return self._tokenizer.decode([i], skip_special_tokens=False)
        return self._spell(piece)

    @cached_property
    def _mark(self) -> str | None:
        return space_mark(self._tokenizer)

    def _one(self, text: str) -> int | None:
        """A vocabulary of pieces is asked by name: encoding would put a space in front."""
        if self._mark is not None:
            found = self._tokenizer.token_to_id(text.replace(" ", self._mark))
            # a user-defined token, such as Gemma's runs of spaces, keeps them as spaces
            return self._tokenizer.token_to_id(text) if found is None else found
        ids = self._plain(text)
        return ids[0] if len(ids) == 1 else None

    def _instead(self, text: str, parts: list[str]) -> str:
        for other in (f" {text.lstrip()}", text.strip()):
            if other != text and self._one(other) is not None:
                return other
        return parts[0] or parts[-1]


def _well_formed(text: str) -> str:
    """Refuses halves of characters, which a terminal passes on from invalid UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the text holds an invalid character at {error.start}; give valid UTF-8"
        ) from None
    return text
