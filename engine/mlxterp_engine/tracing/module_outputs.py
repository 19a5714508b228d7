"""What every module of a net puts out, by its MLX path: `model.layers.3.self_attn.q_proj`.

A site means the same in every architecture; a module path belongs to one model's file, and
means that module's output, whatever it is. Where both are the same array, the path is the
site's alias. mlxterp's extra `model.` in front is understood.

A module's output is known where it ran once in a pass and gave an array; of several things
(a state, a cache) the first is taken.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.calls import Around, calls_through, first_array, with_first_array
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx
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


class ModuleOutputs:
    """Records and edits the outputs of modules during one pass.

    outputs: by path, lazy, mostly [batch, pos, ...].
    """

    def __init__(
        self,
        addresses: Addresses,
        record: Sequence[ModulePath],
        edits: Sequence[Edit],
        lengths: Sequence[int],
    ) -> None:
        """lengths: tokens of each prompt of the pass."""
        self.outputs: dict[str, mx.array] = {}
        self._modules = addresses.modules
        self._record = {place.path for place in record}
        self._edits: dict[str, list[Edit]] = {}
        for edit in edits:
            if len(set(lengths)) > 1:
                edit = replace(edit, lengths=tuple(lengths))
            self._edits.setdefault(edit.site.kind, []).append(edit)
        self._tokens = max(lengths)
        self._calls: Counter[str] = Counter()
        self._uncut: frozenset[str] = frozenset()

    def during(self, net: Callable[..., Any]) -> Callable[..., Any]:
        """The net, watched. What is recorded is what the model goes on with after all edits."""
        if not self._record and not self._edits:
            return net

        def watched(*args: Any, **kwargs: Any) -> Any:
            with calls_through(self._hooks()):
                return net(*args, **kwargs)

        return watched

    def finish(self) -> None:
        """BadInput where an edit had no effect, or more than one."""
        for path in self._edits:
            if self._calls[path] != 1:
                raise BadInput(f"the edit at {path} is in vain: {self._why_not(path)}")
        for path, count in self._calls.items():
            if count > 1:
                self.outputs.pop(path, None)

    def output(self, path: str) -> mx.array:
        """What was recorded of a module. BadInput says why there is nothing."""
        if path not in self.outputs:
            raise BadInput(self._why_not(path))
        return self.outputs[path]

    def row(self, number: int, length: int) -> ModuleOutputs:
        """Those of one prompt of a batch, cut to its tokens: a batch axis of 1."""
        alone = copy(self)
        whole = {p: a for p, a in self.outputs.items() if has_positions(a, self._tokens)}
        alone.outputs = {p: a[number : number + 1, :length] for p, a in whole.items()}
        alone._uncut = frozenset(self.outputs.keys() - whole.keys())
        return alone

    def _why_not(self, path: str) -> str:
        count = self._calls[path]
        if path in self._uncut:
            return f"{path} has no axes of batch and positions to cut one prompt from"
        if path not in self._record and path not in self._edits:
            return f"{path} was not recorded; name it in sites= of this trace"
        if count > 1:
            return f"{path} ran {count} times in this pass, so that no one output is its own"
        if count == 0:
            return f"{path} never ran in this pass"
        return f"{path} put out no array"

    def _hooks(self) -> Iterator[tuple[nn.Module, Around]]:
        paths: dict[int, list[str]] = {}
        for path in self._record | self._edits.keys():
            paths.setdefault(id(self._modules[path]), []).append(path)
        for same in paths.values():
            yield self._modules[same[0]], self._visit(same)

    def _visit(self, paths: list[str]) -> Around:
        """paths: all the names of one module."""

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = original(*args, **kwargs)
            self._calls.update(paths)
            value = first_array(output)
            edits = [edit for path in paths for edit in self._edits.get(path, ())]
            if not isinstance(value, mx.array):
                _refuse_edits(edits, value)
                return output
            for edit in edits:
                _check_positions(edit, value, self._tokens)
                value = edit.apply(value)
            for path in paths:
                if path in self._record:
                    self.outputs[path] = value
            return with_first_array(output, value) if edits else output

        return around


def has_positions(output: mx.array, tokens: int) -> bool:
    """Whether an output is numbers by [batch, pos, width]."""
    floats = mx.issubdtype(output.dtype, mx.floating)
    return output.ndim == 3 and output.shape[1] == tokens and floats


def _check_positions(edit: Edit, value: mx.array, tokens: int) -> None:
    by_position = edit.positions is not None or edit.lengths is not None
    if by_position and not has_positions(value, tokens):
        raise BadInput(
            f"the output of {edit.site} is {value.shape} and not [batch, {tokens} positions, "
            "width], so that no position can be edited; edit all of it in one prompt, or a site"
        )


def _refuse_edits(edits: Sequence[Edit], value: Any) -> None:
    if edits:
        raise BadInput(
            f"{edits[0].site} puts out a {type(value).__name__} and no array; edit a site instead"
        )


def _spellings(address: str) -> tuple[str, ...]:
    """As written, and without mlxterp's extra `model.` in front."""
    without = address.removeprefix(EXTRA)
    return (address,) if without == address else (address, without)
