"""The reference of causal tracing: a whole forward pass for each cell and draw, nothing resumed."""

from __future__ import annotations

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.tracing.interventions import add_vector, at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np


def window(layer, blocks, size, rule):
    """code: causal_trace.py's own expression. paper: [l − 4, l + 5] for 10."""
    if rule == "code":
        return range(max(0, layer - size // 2), min(blocks, layer - (-size // 2)))
    return [b for b in range(layer - (size - 1) // 2, layer + size // 2 + 1) if 0 <= b < blocks]


class NaiveTracing:
    """One prompt; noise [sample, subject token, d_model] on the tokens from `first` on."""

    def __init__(self, model, prompt, first, noise, answer=None):
        self.model, self.first, self.noise = model, first, noise
        self.ids = model.encode(prompt)
        self.blocks = model.card.layers
        every = model.sites.all()
        clean = model.run(self.ids, every).evaluate()
        self.clean = clean.sites
        logits = as_numpy(clean.logits[0, -1])
        self.answer = int(logits.argmax()) if answer is None else model.tokens.single(answer)
        self.p_clean = self.p(clean)
        self.noised = [model.run(self.ids, every, self.adding(s)) for s in range(len(noise))]
        self.p_corrupt = np.array([self.p(run) for run in self.noised])

    def p(self, run):
        logits = as_numpy(run.logits[0, -1]).astype(np.float64)
        e = np.exp(logits - logits.max())
        return e[self.answer] / e.sum()

    def adding(self, sample):
        """The noise of one draw, token by token."""
        return [
            edit(Site("embed"), at_positions([self.first + i], add_vector(mx.array(vector))))
            for i, vector in enumerate(self.noise[sample])
        ]

    def given(self, values, kind, block, position):
        value = values[Site(kind, block)][:, position : position + 1]
        return edit(Site(kind, block), at_positions([position], replace_with(value)))

    def restored(self, sample, edits):
        return self.p(self.model.run(self.ids, [], [*self.adding(sample), *edits]))

    def hidden(self, sample, layer, position, sever="none"):
        edits = [self.given(self.clean, "resid_post", layer, position)]
        if sever != "none":
            kept = self.noised[sample].sites
            later = range(layer + 1, self.blocks)
            edits += [self.given(kept, f"{sever}_out", b, position) for b in later]
        return self.restored(sample, edits)

    def windowed(self, kind, sample, layer, position, size, rule):
        blocks = window(layer, self.blocks, size, rule)
        return self.restored(
            sample, [self.given(self.clean, f"{kind}_out", b, position) for b in blocks]
        )

    def map(self, cell):
        """cell(sample, layer, position) -> [sample, layer, position]."""
        at = range(len(self.ids))
        return np.array(
            [
                [[cell(s, layer, p) for p in at] for layer in range(self.blocks)]
                for s in range(len(self.noise))
            ]
        )
