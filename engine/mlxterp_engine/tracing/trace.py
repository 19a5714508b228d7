"""What one pass left behind: `trace.activations["blocks.5.resid_post"]`, `trace.logits`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.addresses import EXTRA, Addresses, ModulePath
from mlxterp_engine.tracing.batches import Batch
from mlxterp_engine.tracing.interventions import part_of
from mlxterp_engine.tracing.module_outputs import ModuleOutputs, position_axis
from mlxterp_engine.tracing.sites import HEAD_KINDS, Site

import mlx.core as mx


class Trace:
    """A finished pass. Lazy: what is not looked at is not computed.

    ids [batch][pos]: the tokens of each prompt. logits [batch, pos, vocab], after all edits.
    Where prompts differ in length, what lies behind the end of a shorter one is NaN, in every
    array; `row` gives each prompt by itself. Within `with`, the trace is what `model.output`
    and `model.layers[3].output` speak of.
    """

    def __init__(
        self,
        addresses: Addresses,
        ids: list[list[int]],
        batch: Batch,
        modules: ModuleOutputs,
        entered: list[Trace],
    ) -> None:
        self.ids = ids
        self.activations = Activations(addresses, batch, modules)
        self.logits = nan_beyond_ends(batch.padded.logits, batch.lengths, (1,))
        self._addresses = addresses
        self._batch = batch
        self._modules = modules
        self._entered = entered

    def row(self, number: int) -> Trace:
        """One prompt's own tokens, as its single run gives them: a batch axis of 1."""
        if not 0 <= number < len(self.ids):
            raise BadInput(f"row {number}: there are {len(self.ids)} prompts, from row 0 on")
        ids = self.ids[number]
        alone = Batch(self._batch.row(number), (len(ids),))
        modules = self._modules.row(number, len(ids))
        return Trace(self._addresses, [ids], alone, modules, self._entered)

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

    def __init__(self, addresses: Addresses, batch: Batch, modules: ModuleOutputs) -> None:
        self._addresses = addresses
        self._sites = batch.padded.sites
        self._lengths = batch.lengths
        self._modules = modules

    @property
    def sites(self) -> list[Site]:
        """The sites that were recorded, in forward order."""
        return list(self._sites)

    def __getitem__(self, address: str) -> mx.array:
        place = self._addresses.parse(address)
        if isinstance(place, ModulePath):
            return self._module_output(place.path)
        if place.whole not in self._sites:
            raise BadInput(f"{place} was not recorded; name it in sites= of this trace")
        array = self._sites[place.whole]
        return part_of(place, nan_beyond_ends(array, self._lengths, _axes(place)))

    def _module_output(self, path: str) -> mx.array:
        output = self._modules.output(path)
        if not self._ragged:
            return output
        longest = max(self._lengths)
        axis = position_axis(output, longest)
        if axis is None:
            raise BadInput(
                f"the output of {path} is {output.shape}, of which no one axis is that of "
                f"{longest} positions, so that the ends of shorter prompts are not known; trace "
                "one at a time"
            )
        return nan_beyond_ends(output, self._lengths, (axis,))

    @property
    def _ragged(self) -> bool:
        return len(set(self._lengths)) > 1

    def _is_readable(self, output: mx.array) -> bool:
        return not self._ragged or position_axis(output, max(self._lengths)) is not None

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
        for path, output in self._modules.outputs.items():
            if self._is_readable(output):
                yield EXTRA + path

    def __len__(self) -> int:
        return sum(1 for _ in self)


def nan_beyond_ends(array: mx.array, lengths: Sequence[int], axes: Sequence[int]) -> mx.array:
    """NaN wherever an axis of positions is past its row's length. array: batch first."""
    if len(set(lengths)) == 1:
        return array
    inside = mx.array(True)
    for axis in axes:
        ends = mx.array(list(lengths)).reshape(-1, *[1] * (array.ndim - 1))
        count = array.shape[axis]
        positions = mx.arange(count).reshape(count, *[1] * (array.ndim - 1 - axis % array.ndim))
        inside = inside & (positions < ends)
    return mx.where(inside, array, mx.array(mx.nan, dtype=array.dtype))


def _axes(site: Site) -> tuple[int, ...]:
    if site.kind == "attn.pattern":
        return (-2, -1)
    return (-2,) if site.kind in HEAD_KINDS else (1,)


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
