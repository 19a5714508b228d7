"""A card's three files, each whole or not there; card.json last, so that it means all are."""

from __future__ import annotations

import os
from pathlib import Path

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.models.cache import put_in_place
from mlxterp_engine.reproductions.card import Card, card_json
from mlxterp_engine.reproductions.card_markdown import card_markdown
from mlxterp_engine.reproductions.shelf import FIGURES, JSON, MARKDOWN
from mlxterp_engine.techniques.npz import write_npz


def check_folder(folder: Path) -> None:
    """BadInput, before anything is computed, where the card could not be written at the end."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"out is {str(folder)!r}, which is a file; name a folder")
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    if not os.access(there, os.W_OK):
        raise BadInput(f"out is {str(folder)!r} and {there} can't be written; choose another")


def write_card(card: Card, result: Result, folder: Path) -> None:
    """card.md, figures.npz and card.json in this folder, made if need be. Overwrites a card."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_npz(result, folder / FIGURES)
        _write(folder / MARKDOWN, card_markdown(card).encode())
        _write(folder / JSON, card_json(card))
    except OSError as error:
        raise BadInput(
            f"the card could not be written to {folder}: {error.strerror or error}"
        ) from None


def _write(path: Path, data: bytes) -> None:
    with put_in_place(path) as temporary:
        temporary.write_bytes(data)
