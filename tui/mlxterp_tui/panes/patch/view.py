"""How a patching run is looked at: which map, which cell. Pure; no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.run import PatchRun


@dataclass(frozen=True)
class PatchView:
    """name: of the map. of: its mean, its spread, or one pair's. row: a block, kept from map to
    map, at first the last; columns: the cursor's, by what the columns are."""

    name: str = ""
    of: Of = "mean"
    row: int = 10_000
    columns: Mapping[str, int] = field(default_factory=dict)

    def cursor(self, run: PatchRun) -> At:
        """The closest cell that the map has."""
        found = run.map(self.name, self.of)
        if found is None or not found.rows or not found.columns:
            return At(0, 0)
        column = self.columns.get(found.kind, len(found.columns) - 1)
        return At(min(self.row, len(found.rows) - 1), min(column, len(found.columns) - 1))

    def moved(self, run: PatchRun, at: At) -> PatchView:
        found = run.map(self.name, self.of)
        if found is None:
            return self
        return replace(self, row=at.row, columns={**self.columns, found.kind: at.column})

    def on_map(self, name: str) -> PatchView:
        return replace(self, name=name, of="mean")

    def cycled(self, run: PatchRun, step: int) -> PatchView:
        names = run.names
        if not names:
            return self
        at = names.index(self.name) if self.name in names else 0
        return self.on_map(names[(at + step) % len(names)])

    def stepped(self, run: PatchRun, step: int) -> PatchView:
        """The mean, its spread, then each pair or draw, going around."""
        many = run.members(self.name)
        if not many:
            return self
        looks: list[Of] = ["mean", "sd", *range(many)]
        at = looks.index(self.of) if self.of in looks else 0
        return replace(self, of=looks[(at + step) % len(looks)])

    def beside(self, run: PatchRun) -> PatchView | None:
        """What else is worth seeing: by head beside a map by position, and the other way round."""
        found = run.maps.get(self.name)
        if found is None or found.block is not None:
            return None
        by_position = found.kind == "position"
        others = (
            name
            for name, other in run.maps.items()
            if other.block is None and (other.kind == "position") != by_position
        )
        name = next(others, None)
        return None if name is None else self.on_map(name)

    def for_run(self, run: PatchRun) -> PatchView:
        """The same map and place where the run has them, else its first map."""
        if self.name in run.names:
            return replace(self, of="mean")
        return self.on_map(run.names[0]) if run.names else self
