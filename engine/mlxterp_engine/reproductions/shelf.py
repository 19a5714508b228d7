"""Where cards stand: `data/cards/NAME/STAMP/`, each with card.md, card.json and figures.npz."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine import folders
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.card import Card, card_from

import msgspec

JSON, MARKDOWN, FIGURES = "card.json", "card.md", "figures.npz"


class Shelved(NamedTuple):
    """A card and its folder."""

    card: Card
    folder: Path


def cards_folder() -> Path:
    return folders.data_folder() / "cards"


def new_folder(name: str, now: float) -> Path:
    """A folder that is not there yet: a moment's second card gets a number behind its stamp."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    place = cards_folder() / name
    names = chain([stamp], (f"{stamp}-{number}" for number in count(2)))
    return next(place / free for free in names if not (place / free).exists())


def read_card(folder: Path) -> Card:
    """BadInput where there is no card, or one that another version wrote."""
    path = folder / JSON
    try:
        return card_from(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}); make the card again") from None
    except msgspec.DecodeError as error:
        raise BadInput(f"{path} is no card of this version ({error}); make it again") from None


def latest(name: str) -> Shelved | None:
    """The newest whole card of a reproduction; None when there is none.

    A folder without card.json is a card that was not finished: that file is written last.
    """
    found = sorted((cards_folder() / name).glob(f"*/{JSON}"), key=lambda path: path.parent.name)
    return Shelved(read_card(found[-1].parent), found[-1].parent) if found else None
