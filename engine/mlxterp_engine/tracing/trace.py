"""What one pass left behind: `trace.activations["blocks.5.resid_post"]`, `trace.logits`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.forward import Forward
from mlxterp_engine.tracing.interventions import part_of
from mlxterp_engine.tracing.module_outputs import EXTRA, Addresses, ModuleOutputs, ModulePath
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx


class Trace:
    """A finished pass. Lazy: what is not looked at is not computed.

    ids [batch][pos]: the tokens of each prompt. logits [batch, pos, vocab], after all edits.
    Within `with`, it is what `model.output` and `model.layers[3].output` speak of.
    """

    def __init__(
        self,
        addresses: Addresses,
        ids: list[list[int]],
        result: Forward,
        modules: ModuleOutputs,
        entered: list[Trace],
    ) -> None:
        self.ids = ids
        self.logits = result.logits
        self.activations = Activations(addresses, result.sites, modules)
        self._entered = entered

    def __enter__(self) -> Trace:
        self._entered.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._entered.remove(self)

    @property
    def output(self) -> mx.array:
        """mlxterp's name for the logits."""
        return self.logits

    def pattern(self, layer: int) -> mx.array:
        """Attention pattern of a block: [batch, head, destination, source]."""
        return self.activations[f"blocks.{layer}.attn.pattern"]

    def evaluate(self) -> Trace:
        """Compute everything that was recorded, in one evaluation."""
        mx.eval(self.logits, list(self.activations.values()))
        return self


class Activations(Mapping[str, mx.array]):
    """Arrays by address, by TransformerLens's name or by module path. Lazy and read-only.

    Iteration lists each site under its address, then what has a module path under that, in
    mlxterp's spelling: `model.model.layers.3.mlp`. Where a site is a module's output, both
    names give the same array. BadInput for an unknown address, in words; `in` is False there.
    """

    def __init__(
        self, addresses: Addresses, sites: Mapping[Site, mx.array], modules: ModuleOutputs
    ) -> None:
        self._addresses = addresses
        self._sites = sites
        self._modules = modules

    @property
    def sites(self) -> list[Site]:
        """The sites that were recorded, in forward order."""
        return list(self._sites)

    def __getitem__(self, address: str) -> mx.array:
        place = self._addresses.parse(address)
        if isinstance(place, ModulePath):
            return self._modules.output(place.path)
        if place.whole not in self._sites:
            raise BadInput(f"{place} was not recorded; name it in sites= of this trace")
        return part_of(place, self._sites[place.whole])

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, str):
            return False
        try:
            self[address]
        except BadInput:  # unknown here, or not recorded
            return False
        return True

    def get(self, address: str, default: Any = None) -> Any:
        try:
            return self[address]
        except BadInput:
            return default

    def __setitem__(self, address: str, value: Any) -> None:
        raise BadInput(
            f"this run is over: an edit at {address} would change nothing; "
            "pass interventions= to trace()"
        )

    def __iter__(self) -> Iterator[str]:
        yield from map(str, self._sites)
        for site in self._sites:
            yield from self._addresses.paths_of(site)
        for path in self._modules.outputs:
            yield EXTRA + path

    def __len__(self) -> int:
        return sum(1 for _ in self)


def attention_patterns(trace: Trace, layers: Sequence[int] | None = None) -> dict[int, mx.array]:
    """Patterns by layer, [batch, head, destination, source]; by default of all that have one.

    BadInput where a layer was named that has no attention, or none was recorded.
    """
    if layers is not None:
        return {layer: trace.pattern(layer) for layer in layers}
    found = [site.block for site in trace.activations.sites if site.kind == "attn.pattern"]
    if not found:
        raise BadInput("no attention pattern was recorded; name '*.attn.pattern' in sites=")
    return {layer: trace.pattern(layer) for layer in found if layer is not None}
