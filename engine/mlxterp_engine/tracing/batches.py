"""Several prompts in one pass: padded on the right, and each cut back to its own tokens.

Padding on the right is exact in causal models, attention, convolutions and recurrences alike: a
token never sees what comes after it. So nothing has to be masked, positions are as in a single
run, and whatever is computed at the padding is thrown away. Rows differ from single runs only
by rounding, for products of another shape sum in another order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing.forward import Forward, forward
from mlxterp_engine.tracing.interventions import Edit, own_tokens
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

PADDING = 0  # any token will do, for none of a prompt's own sees it


@dataclass(frozen=True, eq=False)
class Batch:
    """One pass over several prompts; not yet evaluated.

    padded: logits [row, pos, vocab] and sites, as long as the longest prompt; entries at the
    padding mean nothing. lengths: tokens of each prompt.
    """

    padded: Forward
    lengths: tuple[int, ...]

    def row(self, number: int) -> Forward:
        """One prompt's own tokens, as its single run gives them: a batch axis of 1."""
        length = self.lengths[number]

        def cut(site: Site, array: mx.array) -> mx.array:
            return array[own_tokens(site, number, length)]

        sites = {site: cut(site, array) for site, array in self.padded.sites.items()}
        logits = cut(Site("logits"), self.padded.logits)
        return Forward(logits, sites, self.padded.consumed)

    def rows(self) -> list[Forward]:
        return [self.row(number) for number in range(len(self.lengths))]


def forward_batch(
    net: Any,
    anatomy: Anatomy,
    prompts: Sequence[Sequence[int]],
    record: Collection[Site] = (),
    edits: Sequence[Edit] = (),
) -> Batch:
    """Run prompts of any lengths at once. Each is edited as if it ran alone: position -1 is its
    own last token. BadInput where an edit's positions are outside one of the prompts.
    """
    lengths = tuple(len(prompt) for prompt in prompts)
    if not lengths or not all(lengths):
        raise BadInput(f"{len(lengths)} prompts of {list(lengths)} tokens; give each at least one")
    _check_positions(edits, lengths)
    if len(set(lengths)) > 1:
        edits = [replace(edit, lengths=lengths) for edit in edits]
    return Batch(forward(net, anatomy, padded(prompts), record, edits), lengths)


def padded(prompts: Sequence[Sequence[int]]) -> mx.array:
    """ids [row, pos] as long as the longest prompt, padded on the right."""
    longest = max(map(len, prompts))
    return mx.array([[*ids, *[PADDING] * (longest - len(ids))] for ids in prompts])


def _check_positions(edits: Sequence[Edit], lengths: Sequence[int]) -> None:
    for edit in edits:
        for number, length in enumerate(lengths):
            try:
                edit.resolved(length, length)
            except BadInput as error:
                where = f"prompt {number + 1} of {len(lengths)}"
                raise BadInput(f"{where} has {length} tokens: {error}") from None
