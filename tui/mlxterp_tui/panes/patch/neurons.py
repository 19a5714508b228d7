"""The neurons of one block's MLP at one position as a map: so many a row, in their order. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlxterp_engine.experiments import ActivationPatching
from mlxterp_engine.experiments.activation_patching import NeuronsAt
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.panes.patch.maps import At, PatchMap

NEURONS, TOGETHER = "neurons", "neurons_together"
ACROSS = 12  # a row: as many cells as a narrow screen shows


def neurons_at(request: Request | None, tokens: int) -> NeuronsAt | None:
    """The block, and the position from the front; None where no neurons are asked for."""
    at = request.neurons_at if isinstance(request, ActivationPatching) else None
    if at is None or at.position >= 0:
        return at
    return at._replace(position=at.position + tokens)


def unknown(at: NeuronsAt, count: int) -> PatchMap:
    """Of so many neurons, none known."""
    firsts = range(0, count, ACROSS)
    blank = PatchMap.unknown(
        NEURONS, "neuron", [str(first) for first in firsts],
        [f"+{i}" for i in range(ACROSS)], block=at.block, position=at.position,
    )  # fmt: skip
    beyond = {cell_of(neuron) for neuron in range(count, len(firsts) * ACROSS)}
    return blank.lacking(beyond)


def with_neurons(found: PatchMap, effects: Mapping[int, float]) -> PatchMap:
    """effects: by neuron."""
    return found.with_each({cell_of(neuron): effect for neuron, effect in effects.items()})


def cell_of(neuron: int) -> At:
    return At(*divmod(neuron, ACROSS))


def neuron_of(at: At) -> int:
    return at.row * ACROSS + at.column
