"""`self`: texts that a model wrote itself, sampled once and kept in the data folder.

A lens that is trained on them sees what its model would say of its own accord. The texts depend on
the weights, the seed and the settings, which the file's name holds; text n is the same however
many are asked for, so that a file can be written on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mlxterp_engine import folders
from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.experiments import BadInput, Step

import msgspec

Sample = Callable[[int], Generator[int, None, list[str]]]
"""The texts of one group, by its number; yields the tokens written so far of each."""


@dataclass(frozen=True, eq=False)
class OwnTexts:
    """What is sampled, and how. sha256: of the weights. manner: in words, a clause.

    group: how many texts `sample` gives at once; tokens: of each at most.
    """

    sample: Sample
    sha256: str
    seed: int
    group: int
    tokens: int
    manner: str

    @property
    def path(self) -> Path:
        name = f"{self.sha256[:16]}-seed{self.seed}-{self.group}x{self.tokens}.jsonl"
        return folders.data_folder() / "own-texts" / name

    @property
    def description(self) -> str:
        return f"texts that the model wrote, {self.manner}, seed {self.seed}"


def own_texts(wanted: OwnTexts, groups: int) -> Generator[Step, None, list[Text]]:
    """So many groups of texts, those that are kept and new ones; each is kept when it is whole."""
    path = wanted.path
    try:
        folders.private_folder(path.parent)
        kept = _kept(path)[:groups]
        for number in range(len(kept), groups):
            kept.append((yield from _sampled(wanted, number, groups)))
            _keep(path, kept[-1])
    except OSError as error:
        raise BadInput(
            f"the model's own texts can't be kept in {path} ({error.strerror}); make room, or "
            "give another corpus"
        ) from None
    found = [(g, i, text) for g, texts in enumerate(kept) for i, text in enumerate(texts)]
    return [Text(f"self {g * wanted.group + i}", text) for g, i, text in found if text.strip()]


def _sampled(wanted: OwnTexts, number: int, groups: int) -> Generator[Step, None, list[str]]:
    total = groups * wanted.tokens
    with closing(wanted.sample(number)) as steps:
        while True:
            try:
                written = next(steps)
            except StopIteration as end:
                return end.value
            done = number * wanted.tokens + written
            yield Step(done, total, f"the model writes texts of its own, {wanted.group} at a time")


def _kept(path: Path) -> list[list[str]]:
    """Whole lines alone: one that was cut off in the middle of a write is written again."""
    if not path.exists():
        return []
    whole, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        os.truncate(path, len(whole) + 1 if whole else 0)
    try:
        return [msgspec.json.decode(line, type=list[str]) for line in whole.split(b"\n") if line]
    except msgspec.DecodeError as error:
        raise BadInput(f"{path} is damaged ({error}); delete it, and it is written again") from None


def _keep(path: Path, texts: list[str]) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(texts) + b"\n")
