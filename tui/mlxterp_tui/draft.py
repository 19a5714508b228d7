"""What stands in the fields of a form before it is a request. No screen in here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from mlxterp_engine.experiments import BadInput

Draft = Mapping[str, str]
"""What stands in each field, by its name; an empty one has its default."""

R = TypeVar("R")


class Field(NamedTuple):
    """A row of a form. choices: the words that it can be; () for free text."""

    name: str
    label: str
    about: str
    choices: tuple[str, ...] = ()


def value(draft: Draft, field: Field) -> str:
    """What stands there; of a choice always one of its words."""
    text = draft.get(field.name, "")
    return text if not field.choices or text in field.choices else field.choices[0]


def words_of(name: str, text: str) -> list[str]:
    """Several words in one field, quoted where one holds a space."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"{name} can't be read ({error}); close the quotes") from None


class Sheet(Generic[R]):
    """What a form asks: its fields, what they mean together, and the request they come to."""

    title: str
    begins: str = "begins"  # what Enter does
    fields: Sequence[Field]

    def is_asked(self, draft: Draft, name: str) -> bool:
        """Whether the field means anything beside the others."""
        return True

    def placeholder(self, draft: Draft, name: str) -> str:
        """What an empty field counts as."""
        return ""

    def meaning(self, name: str) -> str:
        """The field in a whole sentence, for when it has the keys."""
        return ""

    def request_of(self, draft: Draft) -> R:
        """BadInput says which field is wrong, and what would be right."""
        raise NotImplementedError

    def in_words(self, request: R) -> str:
        """What is said of it above its price."""
        return ""

    def fault_in(self, message: str) -> str:
        """The field that a refusal is about; "" where it names none of them."""
        word = message.partition(" ")[0].strip(":-").replace("-", "_")
        return word if word in {field.name for field in self.fields} else ""
