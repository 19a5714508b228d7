"""From a corpus to what a lens is fitted to and measured on."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from mlxterp_engine.corpora.corpus import Corpus
from mlxterp_engine.corpora.sequences import SKIPPED, Reader, Sequences, checked, sequences
from mlxterp_engine.lenses.evaluation import smoothed_unigram
from mlxterp_engine.lenses.training import Lesson

import numpy as np

LEAST_SEQUENCES = 4  # to train on
READ_AT_MOST = 1 << 20  # tokens of a corpus, where no more are asked for


def lesson_of(
    corpus: Corpus, reader: Reader, vocab_size: int, length: int, needed: int, held_out_tokens: int
) -> Generator[int, None, Lesson]:
    """Sequences of `length` tokens; `needed` of them to train on, if there are as many, or more.

    Yields the tokens read. BadInput for a corpus that is too small on either side.
    """
    most = max(needed, READ_AT_MOST // length)
    cut = partial(sequences, reader=reader, length=length, most=most)
    training = yield from cut(corpus.training)
    aside = yield from cut(corpus.held_out)
    checked(training, LEAST_SEQUENCES, "to train on")
    checked(aside, 1, "held out")
    logs = smoothed_unigram(training.counts(vocab_size))
    return Lesson(training, from_all_over(aside, held_out_tokens), logs)


def from_all_over(held_out: Sequences, tokens: int) -> np.ndarray:
    """As many sequences [sequence, pos], evenly apart, as hold so many tokens."""
    count = min(len(held_out), -(-tokens // (held_out.length - SKIPPED)))
    return held_out.ids[np.linspace(0, len(held_out) - 1, count).round().astype(int)]
