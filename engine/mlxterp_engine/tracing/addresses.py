"""What every module of a net puts out, by its MLX path: `model.layers.3.self_attn.q_proj`.

A site means the same in every architecture; a module path belongs to one model's file, and
means that module's output, whatever it is. Where both are the same array, the path is the
site's alias. mlxterp's extra `model.` in front is understood.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.calls import Around
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.nn as nn

EXTRA = "model."  # mlxterp counts paths from its wrapper, MLX from the net


@dataclass(frozen=True)
class ModulePath:
    """A module without a site of its own, by MLX's path."""

    path: str

    def __str__(self) -> str:
        return self.path


Place = Site | ModulePath


class Addresses:
    """Everything in one model that has an address: its sites and its modules.

    aliases: the site that is the output of the module at a path.
    """

    def __init__(self, net: nn.Module, sites: SiteTable, aliases: Mapping[str, Site]) -> None:
        self.sites = sites
        self.modules: dict[str, nn.Module] = {p: m for p, m in net.named_modules() if p}
        self._aliases = {p: site for p, site in aliases.items() if sites.why_not(site) is None}

    def parse(self, address: str) -> Place:
        """The site or module of an address. BadInput names the closest ones."""
        for path in _spellings(address.strip()):
            if path in self._aliases:
                return self._aliases[path]
            if path in self.modules:
                return ModulePath(path)
        closest = self._closest_modules(address.strip())
        if closest:
            raise BadInput(
                f"{self.sites.name} has no module {address!r}; closest: {', '.join(closest)}"
            )
        return self.sites.parse(address)

    def paths_of(self, site: Site) -> list[str]:
        """The module paths of a site, in mlxterp's spelling; `__model_output__` as it is."""
        paths = [path for path, aliased in self._aliases.items() if aliased == site]
        return [path if path.startswith("__") else EXTRA + path for path in paths]

    def hooks(
        self, paths: Iterable[str], around: Callable[[list[str]], Around]
    ) -> Iterator[tuple[nn.Module, Around]]:
        """For `calls_through`: one hook a module, made for all the paths that it has here.

        None for modules that only hold others, and can't be called.
        """
        named: dict[int, list[str]] = {}
        for path in paths:
            if callable(self.modules[path]):
                named.setdefault(id(self.modules[path]), []).append(path)
        for same in named.values():
            yield self.modules[same[0]], around(same)

    def match(self, globs: Iterable[str]) -> tuple[list[Site], list[ModulePath]]:
        """The sites and the modules that any glob matches, in their order.

        A glob that matches none is refused as an address is.
        """
        sites: set[Site] = set()
        modules: set[str] = set()
        for glob in globs:
            paths = self._matching(glob)
            found = {self._aliases[path] for path in paths if path in self._aliases}
            found |= {s for s in self.sites.all() if fnmatch.fnmatchcase(str(s), glob)}
            modules.update(path for path in paths if path not in self._aliases)
            if not found and not paths:
                found = {self._whole(glob)}
            sites |= found
        return (
            [site for site in self.sites.all() if site in sites],
            [ModulePath(path) for path in self.modules if path in modules],
        )

    def _matching(self, glob: str) -> list[str]:
        known = [*self._aliases, *self.modules]
        return [p for p in known if any(fnmatch.fnmatchcase(p, g) for g in _spellings(glob))]

    def _whole(self, address: str) -> Site:
        (site,) = self.sites.match([address])
        return site

    def _closest_modules(self, address: str) -> list[str]:
        """For an address that begins as the module paths do."""
        if not address.startswith(tuple(f"{p}." for p in self._containers())):
            return []
        return get_close_matches(_spellings(address)[-1], self.modules, n=3, cutoff=0.6)

    def _containers(self) -> set[str]:
        return {path.split(".")[0] for path in self.modules}


def _spellings(address: str) -> tuple[str, ...]:
    """As written, and without mlxterp's extra `model.` in front."""
    without = address.removeprefix(EXTRA)
    return (address,) if without == address else (address, without)
