"""From what a request names to a corpus: files, `builtin`, `self`, or a dataset."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from mlxterp_engine.corpora import dataset as library
from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.corpus import Corpus, Text
from mlxterp_engine.corpora.own_texts import OwnTexts, own_texts
from mlxterp_engine.corpora.splitting import STREAM_RULE, Split, is_held_out, split, split_from
from mlxterp_engine.corpora.text_files import check_file, read_file
from mlxterp_engine.experiments import BadInput, Step

BUILTIN, SELF = "builtin", "self"
NAMED = (BUILTIN, SELF)


class Wanted(NamedTuple):
    """As in a request: `dataset` goes before `corpus`; without `held_out` a part is held out."""

    corpus: Sequence[str] = (BUILTIN,)
    dataset: str | None = None
    held_out: Sequence[str] = ()


class Enough(NamedTuple):
    """How far what has no end is read. count: tokens of a text, as the model counts them.

    training, held_out: tokens. Files and `builtin` are read whole.
    """

    training: int
    held_out: int
    count: Callable[[str], int]


def check(wanted: Wanted) -> None:
    """BadInput for what can be seen to be wrong without reading it."""
    for names in (wanted.corpus, wanted.held_out):
        alone = [name for name in names if name in NAMED]
        if alone and len(names) > 1:
            raise BadInput(f"corpus is {' '.join(names)}; {alone[0]!r} stands alone")
    if SELF in wanted.held_out:
        raise BadInput("held_out is 'self'; what the model writes can be trained on alone")
    if wanted.dataset is not None:
        library.Address.parse(wanted.dataset)
    for name in [*wanted.held_out, *([] if wanted.dataset is not None else wanted.corpus)]:
        if name not in NAMED:
            check_file(name)


def read(
    wanted: Wanted, enough: Enough, own: OwnTexts | None = None
) -> Generator[Step, None, Corpus]:
    """The texts, in two parts that share none. own: how `self` is sampled, where it may be asked.

    BadInput names the file or the dataset, what is wrong, and what would be right.
    """
    check(wanted)
    held_out = [text for name in wanted.held_out for text in _held_out(name)]
    if wanted.dataset is not None:
        return (yield from _dataset(wanted.dataset, held_out, enough))
    if list(wanted.corpus) == [BUILTIN]:
        return _builtin(held_out)
    if list(wanted.corpus) == [SELF]:
        return (yield from _self(own, held_out, enough))
    return (yield from _files(wanted.corpus, held_out))


def _held_out(name: str) -> Sequence[Text]:
    return builtin().held_out if name == BUILTIN else read_file(name)


def _builtin(held_out: Sequence[Text]) -> Corpus:
    whole = builtin()
    if not held_out:
        return whole
    return _corpus(BUILTIN, whole.description, split_from(whole.training, held_out))


def _files(names: Sequence[str], held_out: Sequence[Text]) -> Generator[Step, None, Corpus]:
    texts: list[Text] = []
    for number, name in enumerate(names):
        yield Step(number, len(names), f"reading {name}")
        texts += read_file(name)
    made = split_from(texts, held_out) if held_out else split(texts)
    return _corpus(" ".join(names), f"{', '.join(names)}: {len(texts)} texts", made)


def _self(
    own: OwnTexts | None, held_out: Sequence[Text], enough: Enough
) -> Generator[Step, None, Corpus]:
    if own is None:
        raise BadInput("corpus is 'self', and here is no model to write texts; give files")
    wanted = enough.training + (0 if held_out else enough.held_out)
    texts = yield from own_texts(own, -(-wanted // (own.group * own.tokens)))
    return _corpus(SELF, own.description, split_from(texts, held_out) if held_out else split(texts))


def _dataset(said: str, held_out: Sequence[Text], enough: Enough) -> Generator[Step, None, Corpus]:
    """As many rows as are needed, and no more."""
    seen: set[str] = set()
    parts: dict[bool, list[Text]] = {False: [], True: []}
    missing = {False: enough.training, True: 0 if held_out else enough.held_out}
    total = sum(missing.values())
    for text in library.stream(said):
        side = not held_out and is_held_out(text)
        if missing[side] > 0 and text.text not in seen:
            seen.add(text.text)
            parts[side].append(text)
            missing[side] -= enough.count(text.text)
        left = sum(max(0, tokens) for tokens in missing.values())
        yield Step(total - left, total, f"reading {said}")
        if not left:
            break
    return _corpus(said, *_of_dataset(said, parts, held_out))


def _of_dataset(
    said: str, parts: dict[bool, list[Text]], held_out: Sequence[Text]
) -> tuple[str, Split]:
    taken = len(parts[False]) + len(parts[True])
    if not taken:
        raise BadInput(f"dataset {said!r} holds no text; give another")
    about = f"the first {taken} different texts of the dataset {said}"
    if held_out:
        return about, split_from(parts[False], held_out)
    if not parts[False] or not parts[True]:  # a short one: nothing fell on one of the sides
        return about, split([*parts[False], *parts[True]])
    return about, Split(tuple(parts[False]), tuple(parts[True]), STREAM_RULE)


def _corpus(name: str, about: str, made: Split) -> Corpus:
    return Corpus(name, f"{about}; {made.rule}", made.training, made.held_out)
