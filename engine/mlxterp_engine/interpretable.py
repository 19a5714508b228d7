"""`InterpretableModel`: a model with its tokens, its sites and its proofs, ready to trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import DEFAULT_MODEL, Bos, Device, DTypeChoice
from mlxterp_engine.opening import Parts, open_parts
from mlxterp_engine.tracing.forward import Forward, forward
from mlxterp_engine.tracing.interventions import (
    Edit,
    Operation,
    PositionedOperation,
    edit,
    part_of,
)
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx
import numpy as np

Prompt = str | Sequence[int] | mx.array
Interventions = Mapping[str, Operation | PositionedOperation]


class InterpretableModel:
    """A model opened up. `InterpretableModel("smollm2-135m")`, a folder, a .gguf, a hub id.

    One thread at a time may trace: MLX belongs to one thread.
    """

    def __init__(
        self,
        reference: str = DEFAULT_MODEL,
        *,
        device: Device = "auto",
        dtype: DTypeChoice = "auto",
    ) -> None:
        self._take(open_parts(reference, device, dtype))

    @classmethod
    def of(cls, parts: Parts) -> InterpretableModel:
        """From parts opened elsewhere, e.g. step by step with progress."""
        model = cls.__new__(cls)
        model._take(parts)
        return model

    def _take(self, parts: Parts) -> None:
        self.net = parts.net
        self.tokens = parts.tokens
        self.anatomy = parts.anatomy
        self.sites = parts.sites
        self.card = parts.card
        self.pace = parts.pace
        self.place = parts.place

    def encode(self, text: str, bos: Bos = "auto", chat: bool = False) -> list[int]:
        """The ids of a text; refused when empty or longer than the model's context."""
        ids = self.tokens.encode(text, bos, chat)
        if not ids:
            raise BadInput("the prompt has no tokens; give some text")
        if self.card.context and len(ids) > self.card.context:
            raise BadInput(
                f"the prompt has {len(ids)} tokens and {self.card.reference} reads at most "
                f"{self.card.context}; shorten it"
            )
        return ids

    def run(
        self, ids: Sequence[int], record: Sequence[Site] = (), edits: Sequence[Edit] = ()
    ) -> Forward:
        """One lazy forward pass over ids [pos]; arrays come with a batch axis of 1."""
        return forward(self.net, self.anatomy, mx.array([list(ids)]), record, edits)

    def unembed(self, hidden: mx.array) -> mx.array:
        """Final norm and unembedding as the model applies them: [..., d_model] -> [..., vocab]."""
        return self.anatomy.unembed(hidden)

    @contextmanager
    def trace(
        self,
        prompt: Prompt,
        interventions: Interventions | None = None,
        *,
        sites: Sequence[str] = ("*",),
        bos: Bos = "auto",
    ) -> Iterator[Trace]:
        """Run the prompt; its activations are lazy, so what is not looked at costs nothing.

        prompt: text, ids, or an array of ids. interventions: operation by site or alias.
        """
        ids = self._ids(prompt, bos)
        edits = [edit(self.sites.parse(s), what) for s, what in (interventions or {}).items()]
        result = self.run(ids, self.sites.match(sites), edits)
        yield Trace(self.sites, ids, result)

    def _ids(self, prompt: Prompt, bos: Bos) -> list[int]:
        if isinstance(prompt, str):
            return self.encode(prompt, bos)
        ids = [int(i) for i in (np.array(prompt) if isinstance(prompt, mx.array) else prompt)]
        bad = [i for i in ids if not 0 <= i < self.card.vocab_size]
        if bad or not ids:
            raise BadInput(
                f"token id {bad[0]} is outside 0..{self.card.vocab_size - 1}"
                if bad
                else "the prompt has no token ids; give at least one"
            )
        return ids


class Trace:
    """A finished pass: `trace.activations["blocks.5.resid_post"]`, `trace.logits`."""

    def __init__(self, sites: SiteTable, ids: list[int], result: Forward) -> None:
        self.ids = ids
        self.logits = result.logits
        self.activations: Mapping[str, mx.array] = _Activations(sites, result.sites)

    def evaluate(self) -> Trace:
        """Compute everything that was recorded, in one evaluation."""
        mx.eval(self.logits, list(self.activations.values()))
        return self


class _Activations(Mapping[str, mx.array]):
    """Read-only: a run that is over can't be edited. Takes addresses and their aliases."""

    def __init__(self, sites: SiteTable, arrays: dict[Site, mx.array]) -> None:
        self._sites = sites
        self._arrays = MappingProxyType(arrays)

    def __getitem__(self, address: str) -> mx.array:
        site = self._sites.parse(address)
        if site.whole not in self._arrays:
            raise BadInput(f"{site} was not recorded; name it in sites= of this trace")
        array = self._arrays[site.whole]
        return part_of(site, array)

    def __setitem__(self, address: str, value: Any) -> None:
        raise BadInput(
            f"this run is over: an edit at {address} would change nothing; "
            "pass interventions= to trace()"
        )

    def __iter__(self) -> Iterator[str]:
        return (str(site) for site in self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)
