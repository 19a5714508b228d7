"""What a search asks: words, `tag:NAME`-like terms, and figures (`kl_middle>5`), as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput

_FIGURE = re.compile(r"([a-z_]\w*)(<=|>=|!=|<|>|=)([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.I)
_BEGUN = ("experiment", "state")  # found while they are still being typed
MOST_TERMS = 100  # SQLite's expressions are at most 1000 deep
_AGO = re.compile(r"(\d{1,4})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_NAMED = ("model", "tag", "since", "until")


class Condition(NamedTuple):
    """A piece of a WHERE clause over `runs`, and its values."""

    sql: str
    values: tuple[str | float, ...]


def conditions(search: str) -> Iterator[Condition]:
    """All of them have to hold. Words are looked for anywhere, in any case."""
    terms = search.split()
    if len(terms) > MOST_TERMS:
        raise BadInput(f"a search of {len(terms)} words; give at most {MOST_TERMS}")
    for term in terms:
        name, colon, value = term.partition(":")
        figure = _FIGURE.fullmatch(term)
        if figure:
            yield _figure(*figure.groups())
        elif colon and value and name in _BEGUN:
            yield Condition(f"substr({name}, 1, {len(value)}) = ?", (value,))
        elif colon and value and name in _NAMED:
            yield named(name, value)
        else:
            yield Condition("instr(words, ?) > 0", (term.casefold(),))


def named(name: str, value: str) -> Condition:
    """`experiment` and `state` are whole names, `model` is part of one, dates as `moment`."""
    match name:
        case "model":
            return Condition("instr(lower(model), ?) > 0", (value.lower(),))
        case "tag":
            return Condition("instr(char(10) || tags || char(10), ?) > 0", (f"\n{value}\n",))
        case "since":
            return Condition("created >= ?", (moment(value),))
        case "until":
            return Condition("created < ?", (moment(value),))
        case _:
            return Condition(f"{name} = ?", (value,))


def moment(text: str) -> float:
    """A date, or date and time, of this place's clock, in seconds since the epoch.

    Also today, yesterday, and 3h, 2d, 1w: so long ago.
    """
    if text in ("today", "yesterday"):
        midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    if ago := _AGO.fullmatch(text):
        return (datetime.now() - timedelta(hours=int(ago[1]) * _HOURS[ago[2]])).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(
            f"{text!r} is no date; write it as {datetime.now():%Y-%m-%d} or "
            f"{datetime.now():%Y-%m-%dT%H:%M}, today, yesterday, or 3h, 2d, 1w ago"
        ) from None


def _figure(name: str, comparison: str, value: str) -> Condition:
    sql = f"id IN (SELECT run FROM figures WHERE name = ? AND value {comparison} ?)"
    return Condition(sql, (name, float(value)))
