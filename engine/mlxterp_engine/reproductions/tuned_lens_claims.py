"""The tuned lens's claims: for each its rule, its controls and what became of it.

The rules and their numbers were written down before any card was made, and are not to be tuned
until they pass: change one only with a reason that does not look at our figures.
"""

from __future__ import annotations

import math

from mlxterp_engine.bootstrap import estimate, interval
from mlxterp_engine.experiments.card import Claim, Curve, Paper
from mlxterp_engine.reproductions.claiming import Said, Setting, claim, named, number, too_few
from mlxterp_engine.reproductions.lens_transfer import apart, penalties
from mlxterp_engine.reproductions.rank_correlation import spearman
from mlxterp_engine.reproductions.rules import Rule
from mlxterp_engine.reproductions.tuned_lens_figures import (
    Figures,
    agreement_of_influences,
    falling,
    farther_is_worse,
    median_ratio,
    share_below,
    side_by_side,
)

import numpy as np

BELROSE = "Belrose et al. 2023, arXiv 2303.08112"
PAPER_TOKENS = 250 * 2**18

# What the paper says.

BETTER = Said(
    "better",
    "The tuned lens's predictions have a lower perplexity than the logit lens's at every layer",
    Paper(
        source=f"{BELROSE}, perplexity by layer",
        model="Pythia, GPT-NeoX-20B",
        value="uniformly lower; a plot, no figure is printed",
        provenance="memory",
    ),
    "the share of layers, from the embeddings to the last block but one, at which the tuned lens's "
    "mean loss of the next token (the logarithm of perplexity) is below the logit lens's, on "
    "held-out text",
    "share of layers",
)
SMOOTH = Said(
    "smooth",
    "The tuned lens's perplexity falls smoothly with depth",
    Paper(
        source=f"{BELROSE}, perplexity by layer",
        model="Pythia, GPT-NeoX-20B",
        value="falls with depth without jumps; a plot, no figure is printed",
        provenance="memory",
    ),
    "Spearman's rank correlation between depth and the tuned lens's mean loss of the next token, "
    "from the embeddings to the last block but one: -1 when it falls from each layer to the next",
    "Spearman's ρ",
)
UNBIASED = Said(
    "unbiased",
    "The tuned lens is much less biased than the logit lens",
    Paper(
        source=f"{BELROSE}, figure 3",
        model="GPT-Neo-2.7B",
        value="the logit lens's bias is 4 to 5 bits in most layers, the tuned lens's well under it",
        provenance="memory",
    ),
    "the median over layers of the tuned lens's marginal bias over the logit lens's: KL(mean of "
    "the final predictions ‖ mean of the layer's), from the embeddings to the last block but one",
    "of the logit lens's bias",
)
TRANSFERS = Said(
    "transfers",
    "Translators transfer to the layers near their own; the farther, the greater the penalty",
    Paper(
        source=f"{BELROSE}, transfer penalty",
        model="Pythia-12B",
        value="penalties are low near the diagonal and grow away from it; a plot",
        provenance="memory",
    ),
    "Spearman's rank correlation, over pairs of different layers, between their distance and the "
    "transfer penalty: the loss of the one's states through the other's translator, less that "
    "through their own",
    "Spearman's ρ",
)
FAITHFUL = Said(
    "faithful",
    "The directions that matter most to the tuned lens matter most to the model",
    Paper(
        source=f"{BELROSE}, causal fidelity",
        model="Pythia-410M, layer 18 of 24",
        value="Spearman's ρ = 0.89",
    ),
    "Spearman's rank correlation, over directions of one layer, between the mean KL that ablating "
    "a direction causes in the lens and in the model. Simpler than the paper's causal basis "
    "extraction: directions are eigenvectors of the lens's Fisher information, of ranks spread "
    "from first to last, ablated to their mean at every position but the first",
    "Spearman's ρ",
)
CLAIMS = (BETTER, SMOOTH, UNBIASED, TRANSFERS, FAITHFUL)
SENTENCES = {said.name: said.claim for said in CLAIMS}

# Rules.

MORE_LAYERS = Rule(
    direction=(0.5, math.inf),
    why_direction="at more layers than not",
    shape=(1.0, 1.0),
    why_shape="at every layer",
)
FALLING = Rule(
    direction=(-math.inf, 0.0),
    why_direction="the loss falls with depth",
    shape=(-1.0, -0.98),
    why_shape="it falls at nearly every layer",
)
LESS_BIAS = Rule(
    direction=(-math.inf, 1.0),
    why_direction="less than the logit lens's",
    shape=(0.0, 0.25),
    why_shape="a quarter of it or less, which is how much lower the plot is remembered to be",
)
FARTHER_IS_WORSE = Rule(
    direction=(0.0, math.inf),
    why_direction="the penalty grows with distance",
    shape=(0.5, 1.0),
    why_shape="distance is most of what decides it",
)
SAME_DIRECTIONS = Rule(
    direction=(0.0, math.inf),
    why_direction="what matters to the one matters to the other",
    shape=(0.89 - 0.1, 1.0),
    why_shape="0.89, less 0.1, or more",
)


# Claims.


def claims(figures: Figures, setting: Setting) -> list[Claim]:
    makers = (_better, _smooth, _unbiased, _transfers, _faithful)
    return [make(figures, setting) for make in makers]


def _better(figures: Figures, setting: Setting) -> Claim:
    loss = {name: figures.pooled(lens.loss) for name, lens in figures.lenses.items()}
    kl = {name: figures.pooled(lens.kl) for name, lens in figures.lenses.items()}
    gap = loss["tuned"] - loss["logit"]
    unigram = float(figures.pooled(figures.unigram_kl))
    both = side_by_side(figures.tuned.loss, figures.logit.loss)
    return claim(
        BETTER,
        estimate(share_below, both, figures.tokens, setting.seed),
        MORE_LAYERS,
        {
            "trained on, tokens": float(figures.training_tokens),
            "of the paper's 65.5 million, %": 100 * figures.training_tokens / PAPER_TOKENS,
            "layers where it is not lower": named(np.flatnonzero(gap >= 0)),
            "least it is lower by, nats": float(-gap.max()),
            "median it is lower by, nats": float(-np.median(gap)),
            "layers where KL(final ‖ lens) is not lower": named(
                np.flatnonzero(kl["tuned"] >= kl["logit"])
            ),
            "layers where the ridge lens's loss is lower still": named(
                np.flatnonzero(loss["ridge"] < loss["tuned"])
            ),
            "layers where KL is not below a unigram's": named(
                np.flatnonzero(kl["tuned"] >= unigram)
            ),
            "median KL on held-out over that on training text": float(
                np.median(kl["tuned"] / figures.tuned.kl_training)
            ),
            "the same of the ridge lens": float(np.median(kl["ridge"] / figures.ridge.kl_training)),
        },
        setting,
    )


def _smooth(figures: Figures, setting: Setting) -> Claim:
    loss = {name: figures.pooled(lens.loss) for name, lens in figures.lenses.items()}
    steps = np.diff(loss["tuned"])
    whole = loss["tuned"][0] - loss["tuned"].min()
    return claim(
        SMOOTH,
        estimate(falling, figures.tuned.loss, figures.tokens, setting.seed),
        FALLING,
        {
            "layers where it rises": named(np.flatnonzero(steps > 0) + 1),
            "most that it rises at one layer, nats": max(float(steps.max()), 0.0),
            "most that it falls at one layer, of the whole fall": float(-steps.min() / whole)
            if whole > 0
            else math.nan,
            "the logit lens's ρ": float(falling(loss["logit"][None])[0]),
            "the ridge lens's ρ": float(falling(loss["ridge"][None])[0]),
            "loss at the embeddings, nats": float(loss["tuned"][0]),
            "loss at the last block but one, nats": float(loss["tuned"][-1]),
            "loss of the model, nats": float(figures.pooled(figures.model_loss)),
            "loss of a unigram, nats": float(figures.pooled(figures.unigram_loss)),
            "depth from which the answer stays on top, median of "
            f"{len(figures.tuned.facts_from)} factual prompts": float(
                np.median(figures.tuned.facts_from)
            ),
            "the same through the logit lens": float(np.median(figures.logit.facts_from)),
        },
        setting,
        too_few(figures.rows),
    )


def _unbiased(figures: Figures, setting: Setting) -> Claim:
    ratio = (figures.tuned.bias / figures.logit.bias)[None]
    found = interval(
        float(median_ratio(ratio)[0]), median_ratio(figures.bias_ratio_drawn), len(figures.tokens)
    )
    return claim(
        UNBIASED,
        found,
        LESS_BIAS,
        {
            "median bias of the tuned lens, bits": float(np.median(figures.tuned.bias)),
            "median bias of the logit lens, bits": float(np.median(figures.logit.bias)),
            "median bias of the ridge lens, bits": float(np.median(figures.ridge.bias)),
            "between two halves of the texts, bits": figures.floor,
            "layers where it is no less biased": named(
                np.flatnonzero(figures.tuned.bias >= figures.logit.bias)
            ),
        },
        setting,
    )


def _transfers(figures: Figures, setting: Setting) -> Claim:
    transfer = figures.transfer
    flat = transfer.losses.reshape(len(transfer.losses), -1)
    pooled = np.average(transfer.losses, axis=0, weights=transfer.tokens)
    penalty, distance = penalties(pooled), apart(transfer.rows)
    off = distance > 0
    next_to, far = distance == distance[off].min(), distance >= distance.max() / 2
    later = np.triu(off)  # the translator's layer is the earlier one
    found = estimate(
        lambda drawn: farther_is_worse(drawn, transfer.rows), flat, transfer.tokens, setting.seed
    )
    return claim(
        TRANSFERS,
        found,
        FARTHER_IS_WORSE,
        {
            "layers": named(transfer.rows),
            "layers read best by their own translator": named(
                [row for n, row in enumerate(transfer.rows) if pooled[:, n].argmin() == n]
            ),
            "median penalty between neighbours of these, nats": float(np.median(penalty[next_to])),
            "median penalty half the depth apart or more, nats": float(np.median(penalty[far])),
            "median penalty of an earlier translator on later states, nats": float(
                np.median(penalty[later])
            ),
            "of a later translator on earlier states, nats": float(np.median(penalty[later.T])),
            "least penalty (below 0: a foreign translator reads better), nats": float(
                penalty[off].min()
            ),
        },
        setting,
        too_few(figures.rows),
    )


def _faithful(figures: Figures, setting: Setting) -> Claim:
    fidelity = figures.fidelity
    lens, logit, model = (
        np.average(each, axis=0, weights=fidelity.tokens)[None]
        for each in (fidelity.on_lens, fidelity.on_logit_lens, fidelity.on_model)
    )
    random_lens, random_model = (
        np.average(each, axis=0, weights=fidelity.tokens)[None]
        for each in (fidelity.random_lens, fidelity.random_model)
    )
    both = side_by_side(fidelity.on_lens, fidelity.on_model)
    return claim(
        FAITHFUL,
        estimate(agreement_of_influences, both, fidelity.tokens, setting.seed),
        SAME_DIRECTIONS,
        {
            "layer": named([fidelity.row]),
            "directions": float(lens.shape[1]),
            "the same for the logit lens and the model, ρ": float(spearman(logit, model)[0]),
            "spread of the states along a direction and the model, ρ": float(
                spearman(fidelity.spread[None], model)[0]
            ),
            "random directions, lens and model, ρ": float(spearman(random_lens, random_model)[0]),
            "most influence on the lens, nats": float(lens.max()),
            "most influence on the model, nats": float(model.max()),
            "median influence on the model, nats": float(np.median(model)),
            "median influence of a random direction on the model, nats": float(
                np.median(random_model)
            ),
        },
        setting,
        too_few(figures.rows),
    )


# Curves.


def curves(figures: Figures) -> list[Curve]:
    """What the charts of the card show, by layer: loss and KL of the lenses, with a unigram and
    the training text beside them; bias; and the trajectory of the predictions."""
    return [
        *_chart(figures, "loss of the next token", "nats", _pooled(figures, "loss")),
        *_chart(
            figures,
            "KL(final ‖ lens)",
            "nats",
            _pooled(figures, "kl") | {"unigram": _flat(figures, figures.unigram_kl)},
        ),
        *_chart(
            figures,
            "KL(final ‖ lens) on held-out and on training text",
            "nats",
            {
                "tuned, held out": figures.pooled(figures.tuned.kl),
                "tuned, training": figures.tuned.kl_training,
                "ridge, held out": figures.pooled(figures.ridge.kl),
                "ridge, training": figures.ridge.kl_training,
            },
        ),
        *_chart(
            figures,
            "marginal bias",
            "bits",
            {name: lens.bias for name, lens in figures.lenses.items()},
        ),
        *_chart(figures, "entropy of the prediction", "nats", _pooled(figures, "entropy")),
        *_chart(
            figures,
            "top token is the model's own",
            "share of positions",
            _pooled(figures, "agreement"),
        ),
    ]


def _chart(figures: Figures, chart: str, unit: str, by_name: dict[str, np.ndarray]) -> list[Curve]:
    layers = list(range(-1, figures.rows - 1))
    return [
        Curve(title=name, unit=unit, layers=layers, values=[number(v) for v in values], chart=chart)
        for name, values in by_name.items()
    ]


def _pooled(figures: Figures, field: str) -> dict[str, np.ndarray]:
    return {name: figures.pooled(getattr(lens, field)) for name, lens in figures.lenses.items()}


def _flat(figures: Figures, values: np.ndarray) -> np.ndarray:
    return np.full(figures.rows, float(figures.pooled(values)))
