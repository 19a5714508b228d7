"""Edits of what modules put out, by their path.

They are made where the module hands its output out, before any edit of a site that is made of
it, and before anything is recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.calls import Around, calls_through, first_array, with_first_array
from mlxterp_engine.tracing.addresses import Addresses
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.module_outputs import position_axis, ran

import mlx.core as mx


@contextmanager
def module_edits(
    addresses: Addresses, edits: Sequence[Edit], lengths: Sequence[int]
) -> Iterator[None]:
    """Edit the outputs of modules in the one pass that is made within.

    The site of such an edit has the module's path as its kind. lengths: tokens of each prompt,
    each edited as if it ran alone. BadInput where a module did not run once, or put out no
    array.
    """
    if not edits:
        yield
        return
    made = _Edits(edits, lengths)
    with calls_through(addresses.hooks(made.by_path, made.editing)):
        yield
    made.check()


class _Edits:
    def __init__(self, edits: Sequence[Edit], lengths: Sequence[int]) -> None:
        padded = tuple(lengths) if len(set(lengths)) > 1 else None
        self.by_path: dict[str, list[Edit]] = {}
        for edit in edits:
            self.by_path.setdefault(edit.site.kind, []).append(replace(edit, lengths=padded))
        self._tokens = max(lengths)
        self._calls: Counter[str] = Counter()

    def editing(self, paths: list[str]) -> Around:
        edits = [edit for path in paths for edit in self.by_path[path]]

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = original(*args, **kwargs)
            self._calls.update(paths)
            value = first_array(output)
            for edit in edits:
                _check_output(edit, value, self._tokens)
                value = edit.apply(value)
            return with_first_array(output, value)

        return around

    def check(self) -> None:
        for path in self.by_path:
            if self._calls[path] != 1:
                raise BadInput(f"the edit at {path} is in vain: {ran(path, self._calls[path])}")


def _check_output(edit: Edit, value: Any, tokens: int) -> None:
    if not isinstance(value, mx.array):
        raise BadInput(
            f"{edit.site} puts out a {type(value).__name__} and no array; edit a site instead"
        )
    by_position = edit.positions is not None or edit.lengths is not None
    if by_position and (value.ndim != 3 or position_axis(value, tokens) is None):
        raise BadInput(
            f"the output of {edit.site} is {value.shape} and not [batch, {tokens} positions, "
            "width], so that no position can be edited; edit all of it in one prompt, or a site"
        )
