"""Causal tracing's claims: for each its rule, its controls and what became of it.

The rules and their numbers were written down before any card was made, and are not to be tuned
until they pass: change one only with a reason that does not look at our figures.
"""

from __future__ import annotations

import math

from mlxterp_engine.bootstrap import Estimate, estimate
from mlxterp_engine.experiments.card import Claim, Curve, Paper
from mlxterp_engine.reproductions.causal_tracing_figures import (
    Figures,
    between_peaks,
    lost_with_mlps,
    peak,
    peak_depth,
    share_at,
)
from mlxterp_engine.reproductions.claiming import (
    Controls,
    Said,
    Setting,
    claim,
    number,
    too_few,
)
from mlxterp_engine.reproductions.rules import Rule
from mlxterp_engine.techniques.causal_facts_buckets import LAST_SUBJECT

import numpy as np

MENG = "Meng et al. 2022, arXiv 2202.05262"
XL = "GPT-2 XL"
PAPER_BLOCKS = 48
SEVERAL = "of subjects of several tokens"


def claims(figures: Figures, setting: Setting) -> list[Claim]:
    made = (_total_effect, _early_site, _early_depth, _mlps_early, _attention_late, _late_depth,
            _severed)  # fmt: skip
    return [make(figures, setting) for make in made]


SENTENCES = {
    "total-effect": "Noise on the subject's embeddings makes the answer much less likely",
    "early-site": "Restoring one hidden state at the last subject token brings part of the answer "
    "back",
    "early-depth": "That early site lies in the early-middle layers",
    "mlps-early": "At the last subject token it is the MLPs that bring the answer back, and hardly "
    "the attention",
    "attention-late": "Attention brings the answer back at a late site, the prompt's last token",
    "late-depth": "The late site lies in the later layers",
    "severed": "With the MLPs severed the early site's effect vanishes; with the attention severed "
    "it stays",
}


# Rules.

TOTAL = Rule(
    direction=(0.0, math.inf),
    why_direction="noise makes the answer less likely",
    shape=(0.093, 0.372),
    why_shape="18.6 %, within a factor of two",
)
EARLY = Rule(
    direction=(0.0, 0.5),
    why_direction="in the earlier half",
    shape=(16 / PAPER_BLOCKS - 0.15, 16 / PAPER_BLOCKS + 0.15),
    why_shape="layer 15 of 48, give or take 0.15 of the depth",
)
MLPS = Rule(
    direction=(0.0, math.inf),
    why_direction="windows of MLPs restore more than windows of attention",
    shape=(0.025, 0.1),
    why_shape="6.6 % less 1.6 %, within a factor of two",
)
ATTENTION = Rule(
    direction=(0.0, math.inf),
    why_direction="windows of attention restore more at the last token than at the subject's last",
    shape=(0.032, 0.128),
    why_shape="16.5 % less the noised runs' 8.47 % less 1.6 %, within a factor of two",
)
LATE = Rule(
    direction=(0.5, math.inf),
    why_direction="in the later half",
    shape=(33 / PAPER_BLOCKS - 0.15, 33 / PAPER_BLOCKS + 0.15),
    why_shape="layer 32 of 48, give or take 0.15 of the depth",
)
SEVERED = Rule(
    direction=(0.0, math.inf),
    why_direction="severing MLPs costs the early site more than severing attention",
    shape=(0.0435, 0.174),
    why_shape="all of the early site's 8.7 % goes with the MLPs and none with attention, within a "
    "factor of two",
)


def early_site_rule(mismatched: float) -> Rule:
    """mismatched: what another fact's states restore at best, which is no memory of this one."""
    return Rule(
        direction=(max(mismatched, 0.0), math.inf),
        why_direction="above what the same states of other facts bring at best",
        shape=(0.0435, 0.174),
        why_shape="8.7 %, within a factor of two",
    )


# Claims.


def _total_effect(figures: Figures, setting: Setting) -> Claim:
    by_level = {
        f"total effect at {level:g} sigma": effect
        for level, effect in zip(figures.levels, figures.by_level, strict=True)
    }
    elsewhere = figures.elsewhere
    return _claim(
        "total-effect",
        "the mean over facts of p(answer) minus its mean over draws of noise, 3 sigma, on the "
        "embeddings of the subject's tokens",
        Paper(
            source=f"{MENG}, section 2.2 and appendix B.1",
            model=f"{XL}, 1000 facts",
            value="18.6 %: 27.0 % clean, 8.47 % corrupted",
        ),
        _estimate(lambda means: means[:, 0], figures.total[:, None], setting),
        {
            "p(answer) clean": figures.p_clean.mean(),
            "p(answer) under noise": figures.p_corrupt.mean(),
            "sigma": figures.sigma,
            **by_level,
            f"total effect of the same noise on as many other tokens, {len(elsewhere)} facts":
                _mean(elsewhere),
            f"total effect where the subject is not first, {int(figures.later.sum())} facts":
                _mean(figures.total[figures.later]),
        },
        TOTAL,
        setting,
    )  # fmt: skip


def _early_site(figures: Figures, setting: Setting) -> Claim:
    hidden = figures.at_last_subject("hidden")
    mismatched = _best(figures.mismatched)
    half = figures.blocks // 2
    return _claim(
        "early-site",
        "the largest over blocks of the mean effect of restoring the block's output at the last "
        "subject token",
        Paper(
            source=f"{MENG}, section 2.2 and figure 2", model=XL, value="8.7 % at layer 15 of 48"
        ),
        _estimate(peak, hidden, setting),
        {
            "the same of another fact's states, at best": mismatched,
            f"the same {SEVERAL}, {int(figures.several.sum())} facts":
                _best(hidden[figures.several]),
            "with another subject of as many tokens in place of noise (Zhang & Nanda 2024), "
            f"{len(figures.replaced)} facts": _best(figures.replaced),
            "facts whose largest effect before the last token is at the last subject token, share":
                share_at(figures.argmax, LAST_SUBJECT),
            "the same and in the earlier half of the blocks, share":
                share_at(figures.argmax, LAST_SUBJECT, half),
        },
        early_site_rule(mismatched),
        setting,
        too_few(figures.blocks),
    )  # fmt: skip


def _early_depth(figures: Figures, setting: Setting) -> Claim:
    hidden = figures.at_last_subject("hidden")
    mean = hidden.mean(axis=0)
    return _claim(
        "early-depth",
        "the depth (l + 1) / L of the block with that largest effect",
        Paper(
            source=f"{MENG}, section 2.2 and figure 2",
            model=XL,
            value="layer 15 of 48 (depth 0.33)",
        ),
        _estimate(peak_depth, hidden, setting),
        {
            "block": float(mean.argmax()),
            f"depth {SEVERAL}": _depth(hidden[figures.several]),
            "depth with another subject in place of noise": _depth(figures.replaced),
            "median depth over facts": float(np.median(peak_depth(hidden))),
            "effect of the first block": mean[0],
            "effect half way": mean[figures.blocks // 2],
            "effect of the last block": mean[-1],
        },
        EARLY,
        setting,
        too_few(figures.blocks),
    )


def _mlps_early(figures: Figures, setting: Setting) -> Claim:
    mlp, attn = (figures.at_last_subject(name) for name in ("mlp", "attn"))
    return _claim(
        "mlps-early",
        f"the largest mean effect of restoring {figures.window} successive blocks' mlp_out at the "
        "last subject token minus that of their attn_out",
        Paper(source=f"{MENG}, section 2.2 and figure 2", model=f"{XL}, windows of 10 blocks",
              value="MLPs 6.6 %, attention 1.6 %"),
        _estimate(between_peaks, np.concatenate([mlp, attn], axis=1), setting),
        {
            "MLPs": _best(mlp),
            "MLPs, block in the middle of the window": float(mlp.mean(axis=0).argmax()),
            "attention": _best(attn),
            "attention, block in the middle of the window": float(attn.mean(axis=0).argmax()),
            f"MLPs {SEVERAL}": _best(mlp[figures.several]),
            "facts for which MLPs bring more, share":
                float((mlp.max(axis=1) > attn.max(axis=1)).mean()),
        },
        MLPS,
        setting,
        too_few(figures.blocks),
    )  # fmt: skip


def _attention_late(figures: Figures, setting: Setting) -> Claim:
    late, early = figures.at_last("attn"), figures.at_last_subject("attn")
    return _claim(
        "attention-late",
        f"the largest mean effect of restoring {figures.window} successive blocks' attn_out at the "
        "last token minus the same at the last subject token",
        Paper(
            source=f"{MENG}, appendix B.1",
            model=f"{XL}, windows of 10 blocks",
            value="16.5 % likely at the last token, of 8.47 % under noise; 1.6 % more at the last "
            "subject token",
        ),
        _estimate(between_peaks, np.concatenate([late, early], axis=1), setting),
        {
            "at the last token": _best(late),
            "at the last subject token": _best(early),
            "MLPs at the last token": _best(figures.at_last("mlp")),
            "facts for which it is more at the last token, share":
                float((late.max(axis=1) > early.max(axis=1)).mean()),
        },
        ATTENTION,
        setting,
        too_few(figures.blocks),
    )  # fmt: skip


def _late_depth(figures: Figures, setting: Setting) -> Claim:
    late = figures.at_last("attn")
    return _claim(
        "late-depth",
        "the depth (l + 1) / L of the block around which the window of attn_out at the last token "
        "has the largest mean effect",
        Paper(
            source=f"{MENG}, appendix B.1",
            model=f"{XL}, windows of 10 blocks",
            value="layer 32 of 48 (depth 0.69)",
        ),
        _estimate(peak_depth, late, setting),
        {
            "block": float(late.mean(axis=0).argmax()),
            "median depth over facts": float(np.median(peak_depth(late))),
            "effect there": _best(late),
            "depth of MLPs at the last token": _depth(figures.at_last("mlp")),
        },
        LATE,
        setting,
        too_few(figures.blocks),
    )


def _severed(figures: Figures, setting: Setting) -> Claim:
    hidden = figures.at_last_subject("hidden")
    three = [hidden, figures.severed_mlp, figures.severed_attn]
    at = int(hidden.mean(axis=0).argmax())
    whole, no_mlp, no_attn = (float(one.mean(axis=0)[at]) for one in three)
    return _claim(
        "severed",
        "at the block of the early site's largest effect: what severing that token's later MLPs "
        "takes from the effect minus what severing its later attention takes",
        Paper(
            source=f"{MENG}, figure 3",
            model=XL,
            value="the gap between the curves is drawn and no figure is printed; the early site's "
            "whole effect is 8.7 %",
            provenance="memory",
        ),
        _estimate(lost_with_mlps, np.concatenate(three, axis=1), setting),
        {
            "block": float(at),
            "effect": whole,
            "effect with the MLPs severed": no_mlp,
            "effect with the attention severed": no_attn,
            "the MLPs' part of the mean effect over the earlier half of the blocks":
                _early_half(hidden) - _early_half(figures.severed_mlp),
            "the attention's part of it":
                _early_half(hidden) - _early_half(figures.severed_attn),
        },
        SEVERED,
        setting,
        too_few(figures.blocks),
    )  # fmt: skip


def _claim(
    name: str,
    measure: str,
    paper: Paper,
    found: Estimate,
    controls: Controls,
    rule: Rule,
    setting: Setting,
    unfit: str = "",
) -> Claim:
    unit = "depth" if name.endswith("depth") else "probability"
    said = Said(name, SENTENCES[name], paper, measure, unit)
    return claim(said, found, rule, controls, setting, unfit)


def _estimate(statistic, values: np.ndarray, setting: Setting) -> Estimate:
    """values [fact, column]; every fact weighs the same."""
    return estimate(statistic, values.astype(np.float64), np.ones(len(values)), setting.seed)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _best(values: np.ndarray) -> float:
    """[fact, layer] -> the largest mean of a block; NaN of no facts."""
    return float(values.mean(axis=0).max()) if len(values) else math.nan


def _depth(values: np.ndarray) -> float:
    return float(peak_depth(values.mean(axis=0))) if len(values) else math.nan


def _early_half(values: np.ndarray) -> float:
    return float(values[:, : values.shape[1] // 2].mean())


# Curves.


def curves(figures: Figures) -> list[Curve]:
    """What the charts of the card show, by layer: one chart a token and question."""
    at_subject, at_last = "average indirect effect at the last subject token", "at the last token"
    window = f"windows of {figures.window}"
    shown = [
        (at_subject, "hidden states", figures.at_last_subject("hidden")),
        (at_subject, f"MLPs, {window}", figures.at_last_subject("mlp")),
        (at_subject, f"attention, {window}", figures.at_last_subject("attn")),
        (f"average indirect effect {at_last}", "hidden states", figures.at_last("hidden")),
        (f"average indirect effect {at_last}", f"MLPs, {window}", figures.at_last("mlp")),
        (f"average indirect effect {at_last}", f"attention, {window}", figures.at_last("attn")),
        ("hidden states at the last subject token", "whole", figures.at_last_subject("hidden")),
        ("hidden states at the last subject token", "MLPs severed", figures.severed_mlp),
        ("hidden states at the last subject token", "attention severed", figures.severed_attn),
        ("controls at the last subject token", "another fact's state", figures.mismatched),
        ("controls at the last subject token", "subject replaced", figures.replaced),
    ]
    drawn = [
        _curve(chart, title, "probability", values.mean(axis=0))
        for chart, title, values in shown
        if len(values)
    ]
    return drawn + [
        _curve("facts whose largest effect at the last subject token is here", title, "facts",
               _counted(figures.at_last_subject(name)))
        for title, name in (("hidden states", "hidden"), (f"MLPs, {window}", "mlp"),
                            (f"attention, {window}", "attn"))
    ]  # fmt: skip


def _curve(chart: str, title: str, unit: str, values: np.ndarray) -> Curve:
    return Curve(
        title=title,
        unit=unit,
        layers=list(range(len(values))),
        values=[number(value) for value in values],
        chart=chart,
    )


def _counted(effects: np.ndarray) -> np.ndarray:
    """[fact, layer] -> [layer]: how many facts have their largest effect there."""
    return np.bincount(effects.argmax(axis=1), minlength=effects.shape[1])
