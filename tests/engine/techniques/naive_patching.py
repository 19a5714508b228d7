"""The reference: one whole forward pass for each cell, nothing resumed, nothing batched."""

from __future__ import annotations

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.tracing.interventions import at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site

import numpy as np


def metric_of(logits, name, answer, wrong, clean_logits):
    """logits [vocab] of the last position -> a number, the slow and obvious way in float64."""
    logits, clean = logits.astype(np.float64), clean_logits.astype(np.float64)
    if name == "logit-diff":
        return logits[answer] - logits[wrong]
    p, q = (np.exp(x - x.max()) / np.exp(x - x.max()).sum() for x in (clean, logits))
    return q[answer] if name == "prob" else float((p * np.log(p / q)).sum())


class Naive:
    """Two prompts of a model; `effect` runs the unpatched one with a value of the source's."""

    def __init__(self, model, clean, corrupt, *, answer=None, wrong=None, metric, direction):
        self.model, self.metric = model, metric
        one = model.tokens.single
        self.answer = None if answer is None else one(answer)
        self.wrong = None if wrong is None else one(wrong)
        self.ids = [model.encode(text) for text in (clean, corrupt)]
        self.states = [model.run(ids, model.sites.all()).evaluate() for ids in self.ids]
        self.clean_logits = self.last(self.states[0])
        self.target = 1 if direction == "denoise" else 0
        ends = [self.measured(states) for states in self.states]
        self.clean, self.corrupt = ends
        self.unpatched, self.source = ends[self.target], ends[1 - self.target]

    def last(self, run):
        return as_numpy(run.logits[0, -1])

    def measured(self, run):
        return metric_of(self.last(run), self.metric, self.answer, self.wrong, self.clean_logits)

    def effect(self, kind, block, part=None, position=None):
        """part: a head or group; position None: all of them."""
        value = self.states[1 - self.target].sites[Site(kind, block)]
        if part is not None:
            value = value[:, part : part + 1]
        operation = replace_with(
            value if position is None else value[..., position : position + 1, :]
        )
        if position is not None:
            operation = at_positions([position], operation)
        site = Site(kind, block, None if part is None else (part,))
        run = self.model.run(self.ids[self.target], [], [edit(site, operation)])
        return (self.measured(run) - self.unpatched) / (self.source - self.unpatched)

    def effect_of_neuron(self, block, neuron, position):
        """Of one entry of the MLP's hidden activation at one position."""
        site = Site("mlp.post", block, (neuron,))
        value = self.states[1 - self.target].sites[site.whole][0, position, neuron]
        what = edit(site, at_positions([position], replace_with(value)))
        run = self.model.run(self.ids[self.target], [], [what])
        return (self.measured(run) - self.unpatched) / (self.source - self.unpatched)

    def map(self, name):
        """The whole map of a site, [layer, position] or [layer, head]."""
        card = self.model.card
        if name in ("resid_pre", "attn_out", "mlp_out"):
            at = range(len(self.ids[0]))
            return np.array(
                [[self.effect(name, b, position=p) for p in at] for b in range(card.layers)]
            )
        heads = range(card.kv_heads if name in "kv" else card.heads)
        return np.array(
            [[self.effect(f"attn.{name}", b, h) for h in heads] for b in range(card.layers)]
        )
