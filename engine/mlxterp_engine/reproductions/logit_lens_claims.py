"""The logit lens's claims: for each its rule, its controls and what became of it.

The rules and their numbers were written down before any card was made, and are not to be tuned
until they pass: change one only with a reason that does not look at our figures.
"""

from __future__ import annotations

import math

from mlxterp_engine.bootstrap import Estimate, estimate, interval
from mlxterp_engine.experiments.card import Claim, Curve, Paper
from mlxterp_engine.reproductions.claiming import Said, Setting, claim, named, number, too_few
from mlxterp_engine.reproductions.logit_lens_figures import (
    Figures,
    depth_of_agreement,
    echoing_share,
    falling,
    median_bias,
)
from mlxterp_engine.reproductions.rules import Rule

import numpy as np

BELROSE = "Belrose et al. 2023, arXiv 2303.08112"
NOSTALGEBRAIST = "nostalgebraist 2020, interpreting GPT: the logit lens"


def claims(figures: Figures, setting: Setting) -> list[Claim]:
    return [
        make(figures, setting) for make in (_forms_late, _converges, _is_biased, _echoes_the_input)
    ]


SENTENCES = {
    "forms-late": "The logit lens says nothing readable in the first two thirds of the layers, "
    "and becomes readable after them",
    "converges": "The lens's guesses converge on the model's own prediction from layer to layer",
    "bias": "The logit lens is biased: its mean prediction is 4 to 5 bits from the model's in "
    "most layers",
    "input-echo": "In over half of the layers the lens's top token is often just the token that "
    "was read",
}


# Rules.

LATE = Rule(
    direction=(0.5, 1.0),
    why_direction="in the later half, and before the last block, which agrees by construction",
    shape=(21 / 32 - 0.15, 21 / 32 + 0.15),
    why_shape="layer 21 of 32, give or take 0.15 of the depth",
)
FALLING = Rule(
    direction=(-math.inf, 0.0),
    why_direction="KL falls with depth",
    shape=(-1.0, -0.9),
    why_shape="it falls in nearly every layer",
)
ECHO = Rule(
    direction=(0.0, math.inf),
    why_direction="at least one block does",
    shape=(0.5, 1.0),
    why_shape="over half of the layers",
)


def bias_rule(floor: float) -> Rule:
    """floor: bits between two halves of the texts, which is sampling and no bias."""
    return Rule(
        direction=(floor, math.inf),
        why_direction="above what two halves of the texts differ by",
        shape=(2.0, 10.0),
        why_shape="4 to 5 bits, within a factor of two",
    )


# Claims.


def _forms_late(figures: Figures, setting: Setting) -> Claim:
    agreement = figures.pooled(figures.agreement)
    two_thirds = round(2 / 3 * figures.blocks)  # a row: the embeddings are row 0
    return _claim(
        "forms-late",
        "the depth of the first block from which on the lens's top token is the model's own at "
        "more than half of the positions; block l of L lies at (l + 1) / L. What the paper "
        "calls uninterpretable is a reader's judgement; this stands in for it",
        Paper(
            source=f"{BELROSE}, figure 1",
            model="GPT-Neo-2.7B",
            value="uninterpretable before layer 21 of 32 (depth 0.66)",
        ),
        estimate(depth_of_agreement, figures.agreement, figures.tokens, setting.seed),
        "depth",
        {
            f"agreement at block {two_thirds - 1}, two thirds of the way": agreement[two_thirds],
            "agreement at the last block but one": agreement[-2],
            "most agreement with another position's prediction": max(
                figures.pooled(figures.chance)
            ),
            f"depth from which the answer stays on top, median of {len(figures.facts_from)} "
            "factual prompts": float(np.median(figures.facts_from)),
        },
        LATE,
        figures,
        setting,
        too_few(figures.blocks),
    )


def _converges(figures: Figures, setting: Setting) -> Claim:
    kl = figures.pooled(figures.kl)
    unigram = float(np.average(figures.unigram_kl, weights=figures.tokens))
    return _claim(
        "converges",
        "Spearman's rank correlation between depth and mean KL(final ‖ row), from the "
        "embeddings to the last block but one",
        Paper(
            source=NOSTALGEBRAIST,
            model="GPT-2",
            value="KL to the output falls with depth in the plots; no figure is printed",
            provenance="memory",
        ),
        estimate(falling, figures.kl, figures.tokens, setting.seed),
        "Spearman's ρ",
        {
            "rows where KL rises": named(np.flatnonzero(np.diff(kl) > 0) + 1),
            "KL of the last row, nats": kl[-1],
            "KL of a unigram that knows no context, nats": unigram,
            "rows better than the unigram, before the last": named(
                np.flatnonzero(kl[:-1] < unigram)
            ),
            "rows no better than for another position": named(
                np.flatnonzero(kl >= figures.pooled(figures.mismatched))
            ),
        },
        FALLING,
        figures,
        setting,
        too_few(figures.blocks),
    )


def _is_biased(figures: Figures, setting: Setting) -> Claim:
    before = figures.bias[:-1]
    return _claim(
        "bias",
        "the median over the embeddings and all blocks but the last of KL(mean of the final "
        "predictions ‖ mean of the layer's), in bits; that the model's comes first is quoted "
        "from memory",
        Paper(
            source=f"{BELROSE}, figure 3",
            model="GPT-Neo-2.7B",
            value="4 to 5 bits in most layers (between Pythia-160M and 12B: 0.0068 bits)",
        ),
        interval(
            float(median_bias(figures.bias[None])[0]),
            median_bias(figures.bias_drawn),
            len(figures.tokens),
        ),
        "bits",
        {
            "bias of the last row, bits": figures.bias[-1],
            "between two halves of the texts, bits": figures.floor,
            "least of a layer, bits": before.min(),
            "most of a layer, bits": before.max(),
            "layers between 4 and 5 bits": float(((before >= 4) & (before <= 5)).sum()),
        },
        bias_rule(figures.floor),
        figures,
        setting,
    )


def _echoes_the_input(figures: Figures, setting: Setting) -> Claim:
    echo = figures.pooled(figures.echo)
    return _claim(
        "input-echo",
        "the share of blocks, the last left out, in which the lens's top token is the token "
        'just read at more than half of the positions ("often", read strictly)',
        Paper(
            source=f"{BELROSE}, figure 18",
            model="BLOOM, OPT-125M",
            value="top-1 is often the input token in over half of the layers",
        ),
        estimate(echoing_share, figures.echo, figures.tokens, setting.seed),
        "share of blocks",
        {
            "echo at the embeddings": echo[0],
            "most echo of a block before the last": max(echo[1:-1], default=math.nan),
            "blocks before the last that echo more than they agree": named(
                np.flatnonzero(echo[1:-1] > figures.pooled(figures.agreement)[1:-1]) + 1
            ),
            "echo of the model itself, its last row": echo[-1],
            "unembedding tied to the embedding": "yes" if setting.tied else "no",
        },
        ECHO,
        figures,
        setting,
        too_few(figures.blocks),
    )


def _claim(
    name: str,
    measure: str,
    paper: Paper,
    found: Estimate,
    unit: str,
    controls: dict[str, float | str],
    rule: Rule,
    figures: Figures,
    setting: Setting,
    unfit: str = "",
) -> Claim:
    said = Said(name, SENTENCES[name], paper, measure, unit)
    checked = {"worst error of the contract lens_last_row": figures.last_row}
    return claim(said, found, rule, controls | checked, setting, unfit)


# Curves.


def curves(figures: Figures) -> list[Curve]:
    """What the chart of the card shows, by layer."""
    layers = list(range(-1, figures.blocks))
    shown = (
        ("KL(final ‖ layer)", "nats", figures.pooled(figures.kl)),
        ("top token agrees with the model's own", "share of positions",
         figures.pooled(figures.agreement)),
        ("top token is the token just read", "share of positions", figures.pooled(figures.echo)),
        ("marginal bias", "bits", figures.bias),
    )  # fmt: skip
    return [
        Curve(title=title, unit=unit, layers=layers, values=[number(v) for v in values])
        for title, unit, values in shown
    ]
