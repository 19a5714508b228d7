"""The papers whose experiments can be run again: a line here, and a file in `reproductions/`."""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_engine.experiments.errors import BadInput

TAG = "card"
"""What every run of a card carries in the research log."""


class Entry(NamedTuple):
    """where: the module that makes the card. about: one line for a list."""

    title: str
    paper: str
    about: str
    where: str


REPRODUCTIONS = {
    "logit-lens": Entry(
        "The logit lens",
        "nostalgebraist 2020; Belrose et al. 2023, arXiv 2303.08112",
        "where predictions form, how biased the lens is, whether it echoes its input",
        "logit_lens",
    ),
    "tuned-lens": Entry(
        "The tuned lens",
        "Belrose et al. 2023, arXiv 2303.08112",
        "trains one, and a ridge lens beside it: perplexity, bias, transfer, causal fidelity",
        "tuned_lens",
    ),
    "causal-tracing": Entry(
        "Causal tracing",
        "Meng et al. 2022, arXiv 2202.05262",
        "which states bring back facts that noise took away; severed runs, controls, single facts",
        "causal_tracing",
    ),
}


def entry(name: str) -> Entry:
    """BadInput for a name that there is not."""
    if name not in REPRODUCTIONS:
        raise BadInput(f"there is no reproduction {name!r}; there are: {', '.join(REPRODUCTIONS)}")
    return REPRODUCTIONS[name]
