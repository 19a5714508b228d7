"""Indirect object identification: pairs of prompts that differ in who gives (Wang et al. 2022,
arXiv 2211.00593).

"When Mary and John went to the store, John gave a drink to" calls for " Mary"; with the giver
exchanged it calls for " John". Everything else, the length included, stays.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mlxterp_engine.experiments.errors import BadInput

# first and second: receiver and giver, whose order is drawn.
TEMPLATES = (
    "When {first} and {second} went to the {place}, {giver} gave a {thing} to",
    "Then, {first} and {second} were working at the {place}. {giver} decided to give a {thing} to",
    "After {first} and {second} went to the {place}, {giver} gave a {thing} to",
    "While {first} and {second} were at the {place}, {giver} handed a {thing} to",
)
# fmt: off
NAMES = (
    "Mary", "John", "Tom", "James", "Dan", "Martin", "Amy", "Anna", "Sarah", "Kate", "Peter",
    "Paul", "Mark", "David", "Laura", "Alice", "Emma", "Jack", "Michael", "Robert", "Susan",
    "Lisa", "Kevin", "Brian", "Jason", "Helen", "Rachel", "Simon", "Adam", "Jane",
)
# fmt: on
PLACES = ("store", "park", "school", "garden", "restaurant", "station", "hospital", "office")
THINGS = ("drink", "book", "ring", "letter", "key", "ball", "computer", "snack")


@dataclass(frozen=True)
class PromptPair:
    """Texts: two prompts, and the next token that each calls for."""

    clean: str
    corrupt: str
    answer: str | None = None
    wrong: str | None = None


def ioi_pairs(count: int, seed: int, is_one_token: Callable[[str], bool]) -> list[PromptPair]:
    """Different pairs, the same for a seed, of names that the model reads as one token.

    One template for all of them, so that positions mean the same in every pair: the seed's.
    BadInput where fewer than three names are left.
    """
    names = [name for name in NAMES if is_one_token(f" {name}")]
    if len(names) < 3:
        raise BadInput(
            f"only {len(names)} of {len(NAMES)} names are one token of this model, too few for "
            "pairs; give a .jsonl file of your own"
        )
    places, things = (
        [word for word in words if is_one_token(f" {word}")] or list(words[:1])
        for words in (PLACES, THINGS)
    )
    most = len(names) * (len(names) - 1) * 2 * len(places) * len(things)
    if count > most:
        raise BadInput(f"count is {count}; there are {most} different pairs for this model")
    draw = random.Random(seed)
    template = TEMPLATES[seed % len(TEMPLATES)]
    found: dict[PromptPair, None] = {}
    while len(found) < count:
        receiver, giver = draw.sample(names, 2)
        first, second = draw.sample((receiver, giver), 2)
        words = {"first": first, "second": second}
        words |= {"place": draw.choice(places), "thing": draw.choice(things)}
        clean = template.format(giver=giver, **words)
        corrupt = template.format(giver=receiver, **words)
        found[PromptPair(clean, corrupt, f" {receiver}", f" {giver}")] = None
    return list(found)
