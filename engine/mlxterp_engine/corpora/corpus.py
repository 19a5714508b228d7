"""A corpus: named texts in two parts that share nothing."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Text(NamedTuple):
    """title: where in the corpus it stands."""

    title: str
    text: str


class Corpus(NamedTuple):
    """name: as the command line takes it. description: what the texts are, and the split's rule."""

    name: str
    description: str
    training: tuple[Text, ...]
    held_out: tuple[Text, ...]

    @property
    def sha256(self) -> str:
        """Over titles and texts of both parts, in order: other texts, other numbers."""
        digest = hashlib.sha256()
        for part in (self.training, self.held_out):
            for title, text in part:
                digest.update(f"{title}\0{text}\0".encode())
        return digest.hexdigest()
