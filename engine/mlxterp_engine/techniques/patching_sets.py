"""One sweep for each pair of a set: mean maps as they come, then spreads and each pair's own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from mlxterp_engine.experiments import Array, BadInput, Contract, PatchCells, PatchEnds, Price, Step
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.patching import Pair, Session, open_pair
from mlxterp_engine.techniques.patching_pairs import summed_up, worst
from mlxterp_engine.techniques.shares import as_a_share
from mlxterp_engine.tracing.sites import Site

import numpy as np

Maps = dict[str, np.ndarray]
OfPair = tuple[Maps, dict[str, Contract]]
Sweep = Generator[PatchEnds | PatchCells | Step, None, OfPair]


@dataclass(frozen=True, eq=False)
class OverPairs:
    """arrays: NAME, NAME_sd, NAME_pairs of each map and of both ends. texts: [pair][clean, corrupt]
    as the model reads them."""

    arrays: Maps
    contracts: dict[str, Contract]
    texts: list[list[str]]

    @property
    def ends(self) -> tuple[float, float]:
        """The mean metric of the clean and of the corrupt runs."""
        return float(self.arrays["clean_metric"]), float(self.arrays["corrupt_metric"])


def over_pairs(
    model: InterpretableModel,
    request: PairRequest,
    pairs: Sequence[Pair],
    kinds: Sequence[str | Site],
    direction: str,
    sweep: Callable[[Session, Pair], Sweep],
) -> Generator[PatchCells | Step, None, OverPairs]:
    """Each pair in its turn; after each, the mean maps of those that are done. Of what a sweep
    gives that is no map, [cell], nothing is told on the way."""
    found: dict[str, list[np.ndarray]] = {}
    ends: list[tuple[float, float]] = []
    contracts = []
    for number, pair in enumerate(pairs):
        try:
            session = open_pair(model, pair, kinds, request.metric, direction)
        except BadInput as error:
            raise BadInput(f"pair {number + 1} of {request.pairs}: {error}") from None
        maps, held = yield from as_a_share(sweep(session, pair), number, len(pairs), "pairs")
        contracts.append(held)
        ends.append((session.readout.clean, session.readout.corrupt))
        for name, values in maps.items():
            found.setdefault(name, []).append(values)
            if values.ndim == 2:
                yield _mean(name, found[name])
    texts = [["".join(p.tokens) for p in (pair.clean, pair.corrupt)] for pair in pairs]
    return OverPairs(summed_up(found, ends), worst(contracts), texts)


def price_of_pairs(pairs: Sequence[Pair], price: Callable[[Pair], Price]) -> Price:
    """The sum of each pair's; of the bytes the most."""
    each = [price(pair) for pair in pairs]
    passes, seconds = (sum(getattr(one, name) for one in each) for name in ("passes", "seconds"))
    return Price(passes, seconds, max(one.bytes for one in each))


def _mean(name: str, found: Sequence[np.ndarray]) -> PatchCells:
    """[layer, at]; NaN where it is NaN in any pair."""
    mean = np.asarray(np.mean(found, axis=0), np.float32)
    rows, at = (list(range(count)) for count in mean.shape)
    return PatchCells(site=name, layers=rows, at=at, values=Array.of(mean))
