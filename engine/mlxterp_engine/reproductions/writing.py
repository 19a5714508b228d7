"""A card's three files, each whole or not there; card.json last, so that it means all are."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.experiments.card import Card, card_json
from mlxterp_engine.reproductions.card_markdown import card_markdown
from mlxterp_engine.reproductions.shelf import FIGURES, JSON, MARKDOWN
from mlxterp_engine.techniques.npz import write_npz
from mlxterp_engine.whole_files import write_whole


@contextmanager
def made_ready(folder: Path) -> Iterator[None]:
    """The folder, made before anything is computed, and gone again where nothing came of it.

    BadInput where the card could not be written in the end.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"out is {str(folder)!r}, which is a file; name a folder")
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            f"out is {str(folder)!r}, which can't be written ({error.strerror}); choose another"
        ) from None
    try:
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):  # it holds a card
                place.rmdir()


def write_card(card: Card, result: Result, folder: Path) -> None:
    """card.md, figures.npz and card.json in this folder. A card that lies there is replaced."""
    try:
        write_npz(result, folder / FIGURES)
        write_whole(folder / MARKDOWN, card_markdown(card).encode())
        write_whole(folder / JSON, card_json(card))
    except OSError as error:
        raise BadInput(
            f"the card could not be written to {folder}: {error.strerror or error}"
        ) from None
