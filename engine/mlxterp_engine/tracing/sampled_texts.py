"""Texts that the model writes of its own accord: the corpus `self`.

Drawn from its full distribution (temperature 1) after its BOS token or, where it has none, its end
token; a text ends with an end token. All texts of a group are written side by side: they begin with
one token and so are equally long at any time, and a draw depends on seed, group and step alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from mlxterp_engine.corpora.own_texts import OwnTexts
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.models.tokens import Tokens

import mlx.core as mx
import numpy as np

make_prompt_cache = mlx_lm_file("models.cache").make_prompt_cache

GROUP = 16
LONGEST = 256  # tokens
OPENING = "\n"  # for a model with neither BOS nor end token


def sampled_texts(net: Any, tokens: Tokens, sha256: str, seed: int) -> OwnTexts:
    """sha256: of the weights."""
    start, what = opening(tokens)

    def sample(group: int) -> Generator[int, None, list[str]]:
        ids = yield from write(net, start, tokens.vocab_size, seed=seed, group=group)
        return [tokens.decode(until_end(row, tokens.eos_ids)) for row in ids]

    manner = f"drawn at temperature 1 after {what}, up to {LONGEST} tokens each"
    return OwnTexts(sample, sha256, seed, GROUP, LONGEST, manner)


def opening(tokens: Tokens) -> tuple[int, str]:
    """The token that a text begins after, and in words what it is."""
    if tokens.bos_id is not None:
        return tokens.bos_id, "the BOS token"
    if tokens.eos_ids:
        return tokens.eos_ids[0], "an end token"
    return tokens.encode(OPENING, "off")[-1], "a line's end"


def write(
    net: Any, start: int, vocab_size: int, *, seed: int, group: int, longest: int = LONGEST
) -> Generator[int, None, list[list[int]]]:
    """Ids [text][step] after `start`, with a key-value cache; yields the steps taken."""
    cache = make_prompt_cache(net)
    last = mx.full((GROUP, 1), start)
    steps = []
    for step in range(longest):
        logits = net(last, cache=cache)[:, -1, :vocab_size].astype(mx.float32)
        last = mx.random.categorical(logits, key=draw_key(seed, group, step))[:, None]
        mx.eval(last)
        steps.append(np.array(last))
        yield step + 1
    return np.hstack(steps).tolist()


def draw_key(seed: int, group: int, step: int) -> mx.array:
    return mx.random.key((seed << 32) + group * LONGEST + step)


def until_end(ids: Sequence[int], end_ids: Sequence[int]) -> list[int]:
    """What comes before the first end token."""
    ends = [place for place, token in enumerate(ids) if token in end_ids]
    return list(ids[: ends[0]] if ends else ids)
