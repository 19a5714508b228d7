"""`model.layers[3].self_attn.output.save()`: modules as notebooks address them in a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import mlx.nn as nn

Read = Callable[[str], mx.array]
"""The recorded output of a module in the trace that is open; BadInput where none is."""


class Output:
    """An output in the open trace. `save()` hands out the array, which outlives the trace."""

    def __init__(self, value: mx.array) -> None:
        self.value = value

    def save(self) -> mx.array:
        return self.value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def __getitem__(self, index: Any) -> mx.array:
        return self.value[index]


class ModuleView:
    """A module, with its output in the open trace. Everything else is the module's own.

    A child of the module comes as a view too, and a list of children as a list of views.
    `module` is the bare MLX module.
    """

    def __init__(self, module: nn.Module, path: str, read: Read) -> None:
        self.__dict__.update(module=module, _path=path, _read=read)

    module: nn.Module
    _path: str
    _read: Read

    @property
    def output(self) -> Output:
        """What the module put out in the open trace. BadInput outside a trace."""
        return Output(self._read(self._path))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.module, name)
        path = f"{self._path}.{name}"
        if isinstance(value, nn.Module):
            return ModuleView(value, path, self._read)
        if isinstance(value, list) and value and isinstance(value[0], nn.Module):
            return [ModuleView(m, f"{path}.{i}", self._read) for i, m in enumerate(value)]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"{self._path}.{name} can't be set through a view: pass interventions= to trace(), "
            "or set it on .module"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{self._path}: {type(self.module).__name__}"


def no_trace_open() -> BadInput:
    return BadInput(
        "no trace is open: outputs are those of a pass; "
        "write `with model.trace(prompt) as trace:` around this, or keep trace.logits"
    )
