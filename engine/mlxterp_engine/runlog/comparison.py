"""How far one result lies from another."""

from __future__ import annotations

from mlxterp_engine.experiments import Array

import msgspec


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The second result against the first.

    drift: for every array of either, max |second − first|; NaN where that can't be said, and
    `unlike` then says why. Cells that are NaN (or the same infinity) in both count as equal.
    differences: second − first, float32, of the arrays that agree in shape; NaN where one of
    the two is NaN. left_out: arrays too large to be sent so. fields: what else differs, by its
    name, as it is in the first and in the second.
    """

    drift: dict[str, float]
    unlike: dict[str, str]
    differences: dict[str, Array]
    fields: dict[str, tuple[str, str]]
    left_out: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether every array is equal, bit for bit up to the sign of a zero."""
        return not any(self.drift.values()) and not self.unlike
