"""The tuned lens's card, measured: every lens on every text, transfer, fidelity, and the bias."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlxterp_engine.bootstrap import resamples
from mlxterp_engine.experiments import Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions import lens_marginals
from mlxterp_engine.reproductions.causal_fidelity import (
    Directions,
    directions,
    gradients,
    influence_on_lens,
    influence_on_model,
    random_directions,
    spread_ranks,
)
from mlxterp_engine.reproductions.frame import Tally, driven
from mlxterp_engine.reproductions.lens_quality import (
    NOT_COUNTED,
    Quality,
    Seen,
    expected,
    loss,
    quality,
    see,
)
from mlxterp_engine.reproductions.lens_transfer import spread_rows, transfer_losses
from mlxterp_engine.reproductions.tuned_lens_figures import Fidelity, Transfer

import mlx.core as mx
import numpy as np

BIAS_DRAWS = 200  # each costs a logarithm of the whole vocabulary a layer and a lens
DRAWS_AT_ONCE = 50
A_DRAW, A_PASS = 0.6, 6.0  # what they cost a row and a token, in unembeddings of one: measured
DEPTH = 18 / 24  # of the layer whose directions are ablated: the paper's
LENSES = ("logit", "ridge", "tuned")


class Size(Protocol):
    """As in `tuned_lens.Size`."""

    @property
    def tokens(self) -> int: ...
    @property
    def few(self) -> int: ...
    @property
    def transfer_rows(self) -> int: ...
    @property
    def directions(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Texts:
    """held_out, training: ids of passages. unigram [vocab]: log frequencies, nats."""

    held_out: list[list[int]]
    training: list[list[int]]
    unigram: np.ndarray


@dataclass(frozen=True, eq=False)
class Fitted:
    ridge: Translators
    tuned: Translators

    def of(self, name: str) -> Translators | None:
        """None is the logit lens."""
        return {"logit": None, "ridge": self.ridge, "tuned": self.tuned}[name]


@dataclass(frozen=True, eq=False)
class OverTexts:
    """A lens's `Quality`, [text, row] each."""

    kl: np.ndarray
    loss: np.ndarray
    entropy: np.ndarray
    agreement: np.ndarray


@dataclass(frozen=True, eq=False)
class Measures:
    """lenses, bias [row], kl_training [row]: by lens. The rest as in `Figures`."""

    tokens: np.ndarray
    lenses: dict[str, OverTexts]
    bias: dict[str, np.ndarray]
    kl_training: dict[str, np.ndarray]
    model_loss: np.ndarray
    model_entropy: np.ndarray
    unigram_kl: np.ndarray
    unigram_loss: np.ndarray
    bias_ratio_drawn: np.ndarray
    floor: float
    transfer: Transfer
    fidelity: Fidelity


def units(size: Size, rows: int, held_out: Sequence[Sequence[int]]) -> float:
    """What `measure` does, counted in tokens unembedded."""
    whole = len(LENSES) * rows * sum(len(ids) - NOT_COUNTED for ids in held_out)
    training = 2 * rows * size.few * (size.tokens - NOT_COUNTED)
    few = size.few * (size.tokens - NOT_COUNTED)
    ablating = (3 + 2 * A_PASS) * size.directions
    drawing = A_DRAW * BIAS_DRAWS * rows
    return whole + training + few * (min(size.transfer_rows, rows) ** 2 + ablating) + drawing


def measure(
    model: InterpretableModel, size: Size, texts: Texts, fitted: Fitted, seed: int, tally: Tally
) -> Generator[Step, None, Measures]:
    seen = []
    for ids in texts.held_out:
        seen.append((yield from driven(see(model, ids), tally, "the passages", _nothing)))
    tokens = np.array([one.tokens for one in seen], dtype=np.float64)
    lenses, log_means = {}, {}
    for name in LENSES:
        what = f"the {name} lens on {len(seen)} held-out passages"
        each = yield from _qualities(model, seen, fitted.of(name), tally, what)
        lenses[name], log_means[name] = over_texts(each), np.stack([q.log_mean for q in each])
    finals = np.stack([lens_marginals.log_of_mean(one.final) for one in seen])
    bias, ratio = yield from _bias(finals, log_means, tokens, seed, tally)
    del log_means
    kl_training = yield from _on_training(model, texts.training, fitted, tally)
    transfer = yield from _transfer(model, size, seen[: size.few], fitted.tuned, tally)
    fidelity = yield from _fidelity(model, size, texts, seen, fitted.tuned, seed, tally)
    probs = [np.exp(one.final) for one in seen]
    pairs = list(zip(probs, seen, strict=True))
    return Measures(
        tokens=tokens,
        lenses=lenses,
        bias=bias,
        kl_training=kl_training,
        model_loss=np.array([loss(one.final, one.next_ids).mean() for one in seen]),
        model_entropy=np.array([-expected(p, one.final).mean() for p, one in pairs]),
        unigram_kl=np.array([expected(p, one.final - texts.unigram).mean() for p, one in pairs]),
        unigram_loss=np.array([-texts.unigram[one.next_ids].mean() for one in seen]),
        bias_ratio_drawn=ratio,
        floor=lens_marginals.between_halves(finals, tokens),
        transfer=transfer,
        fidelity=fidelity,
    )


def over_texts(each: Sequence[Quality]) -> OverTexts:
    return OverTexts(
        *(
            np.stack([getattr(one, name) for one in each])
            for name in ("kl", "loss", "entropy", "agreement")
        )
    )


def _qualities(
    model: InterpretableModel,
    seen: Sequence[Seen],
    lens: Translators | None,
    tally: Tally,
    what: str,
) -> Generator[Step, None, list[Quality]]:
    found = []
    for one in seen:
        steps = quality(model, one, lens)
        found.append((yield from driven(steps, tally, what, _each(one.tokens))))
    return found


def _on_training(
    model: InterpretableModel, training: Sequence[Sequence[int]], fitted: Fitted, tally: Tally
) -> Generator[Step, None, dict[str, np.ndarray]]:
    """Mean KL [row] on text that the lenses were fitted to; NaN for the logit lens."""
    seen = []
    for ids in training:
        seen.append((yield from driven(see(model, ids), tally, "the training text", _nothing)))
    weights = [one.tokens for one in seen]
    found = {"logit": np.full(model.card.layers, np.nan)}
    for name in ("ridge", "tuned"):
        what = f"the {name} lens on {len(seen)} training passages"
        each = yield from _qualities(model, seen, fitted.of(name), tally, what)
        found[name] = np.average([one.kl for one in each], axis=0, weights=weights)
    return found


def _bias(
    finals: np.ndarray,
    log_means: dict[str, np.ndarray],
    tokens: np.ndarray,
    seed: int,
    tally: Tally,
) -> Generator[Step, None, tuple[dict[str, np.ndarray], np.ndarray]]:
    """Each lens's marginal bias [row], bits; and [draw, row] the tuned one's over the logit's."""
    rows = log_means["logit"].shape[1]
    whole = np.ones((1, len(tokens))) * tokens / tokens.sum()
    final = lens_marginals.log_of_mean(finals, whole)
    bias = {
        name: np.array([lens_marginals.bias(final, of[:, r], whole)[0] for r in range(rows)])
        for name, of in log_means.items()
    }
    counts = resamples(len(tokens), BIAS_DRAWS, seed) * tokens
    weights = counts / counts.sum(axis=-1, keepdims=True)
    ratio = np.empty((BIAS_DRAWS, rows))
    for start in range(0, BIAS_DRAWS, DRAWS_AT_ONCE):
        here = slice(start, start + DRAWS_AT_ONCE)
        final = lens_marginals.log_of_mean(finals, weights[here])
        for row in range(rows):
            tuned, logit = (
                lens_marginals.bias(final, log_means[name][:, row], weights[here])
                for name in ("tuned", "logit")
            )
            ratio[here, row] = tuned / logit
            yield tally.step("the bootstrap of the bias", A_DRAW * len(final))
    return bias, ratio


def _transfer(
    model: InterpretableModel, size: Size, seen: Sequence[Seen], lens: Translators, tally: Tally
) -> Generator[Step, None, Transfer]:
    rows = spread_rows(model.card.layers, size.transfer_rows)
    losses = []
    for one in seen:
        steps = transfer_losses(model, one, lens, rows)
        what = f"{len(rows)} translators on each other's layers"
        losses.append((yield from driven(steps, tally, what, _each(one.tokens))))
    return Transfer(np.stack(losses), np.array([one.tokens for one in seen], float), rows)


def _fidelity(
    model: InterpretableModel,
    size: Size,
    texts: Texts,
    seen: Sequence[Seen],
    lens: Translators,
    seed: int,
    tally: Tally,
) -> Generator[Step, None, Fidelity]:
    """Directions from the training text, their influence on the held-out text."""
    row = min(round(DEPTH * model.card.layers), model.card.layers - 1)
    found, random = yield from _directions(model, size, texts.training, row, lens, seed, tally)
    few = list(zip(texts.held_out, seen, strict=True))[: size.few]
    influences = []
    for ids, one in few:
        steps = (
            (influence_on_lens(model, one, row, lens, found), 1.0),
            (influence_on_lens(model, one, row, None, found), 1.0),
            (influence_on_model(model, ids, one, row, found), A_PASS),
            (influence_on_lens(model, one, row, lens, random), 1.0),
            (influence_on_model(model, ids, one, row, random), A_PASS),
        )
        what = f"ablating {len(found)} directions of block {row - 1}, and random ones"
        each = []
        for step, cost in steps:
            each.append((yield from driven(step, tally, what, _each(cost * one.tokens))))
        influences.append(each)
    on_lens, on_logit, on_model, random_lens, random_model = map(
        np.stack, zip(*influences, strict=True)
    )
    return Fidelity(
        row=row,
        on_lens=on_lens,
        on_logit_lens=on_logit,
        on_model=on_model,
        tokens=np.array([one.tokens for _, one in few], float),
        spread=found.spread,
        information=found.information,
        rank=found.rank,
        random_lens=random_lens,
        random_model=random_model,
    )


def _directions(
    model: InterpretableModel,
    size: Size,
    training: Sequence[Sequence[int]],
    row: int,
    lens: Translators,
    seed: int,
    tally: Tally,
) -> Generator[Step, None, tuple[Directions, Directions]]:
    """The lens's, and as many random ones."""
    states, grads = [], []
    for number, ids in enumerate(training):
        one = yield from driven(see(model, ids), tally, "the lens's directions", _nothing)
        hidden = one.hidden[row]
        states.append(np.array(hidden.astype(mx.float32)))
        grads.append(gradients(model, hidden, row - 1, lens, seed * len(training) + number))
        yield tally.step("the lens's directions", 2 * one.tokens)
    ranks = spread_ranks(model.card.d_model, size.directions)
    together = np.concatenate(states)
    found = directions(together, np.concatenate(grads), ranks)
    return found, random_directions(together, len(found), seed)


def _each(cost: float) -> Callable[[Any], float]:
    return lambda part: cost


def _nothing(part: object) -> float:
    return 0.0
