"""See and change what modules compute, without touching the model.

MLX modules have no hooks. While `calls_through` is open, the `__call__` of the classes
concerned is replaced by one that looks up the instance: the parameter tree, `type(module)` and
every other instance stay as they are, and the classes are put back whatever happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from mlxterp_engine.experiments.errors import RunFailed

import mlx.core as mx
import mlx.nn as nn

Original = Callable[..., Any]
Around = Callable[[Original, tuple[Any, ...], dict[str, Any]], Any]

_owner: int | None = None


@contextmanager
def calls_through(
    modules: Iterable[tuple[nn.Module, Around]], attention: Around | None = None
) -> Iterator[None]:
    """Send calls of these modules, and of the attention kernel, through the given functions.

    Each gets the original (bound) call, its args and its kwargs, and returns what the caller
    shall see. Only one thread may have this open: classes are shared by all threads.
    """
    with ExitStack() as stack:
        stack.enter_context(_one_thread())
        by_class: dict[type, dict[int, Around]] = {}
        for module, around in modules:
            by_class.setdefault(_definer(type(module)), {})[id(module)] = around
        for owner, instances in by_class.items():
            stack.enter_context(_dispatching(owner, instances))
        if attention is not None:
            stack.enter_context(_attention_through(attention))
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    global _owner
    me, before = threading.get_ident(), _owner
    if before not in (None, me):
        raise RunFailed("a trace is open in another thread; MLX belongs to one thread at a time")
    _owner = me
    try:
        yield
    finally:
        _owner = before


def _definer(cls: type) -> type:
    """The class in the inheritance line that defines `__call__`."""
    return next(base for base in cls.__mro__ if "__call__" in base.__dict__)


@contextmanager
def _dispatching(owner: type, instances: Mapping[int, Around]) -> Iterator[None]:
    original = owner.__dict__["__call__"]

    def dispatch(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        around = instances.get(id(self))
        if around is None:
            return original(self, *args, **kwargs)
        return around(original.__get__(self), args, kwargs)

    owner.__call__ = dispatch  # type: ignore[method-assign]
    try:
        yield
    finally:
        owner.__call__ = original  # type: ignore[method-assign]


@contextmanager
def _attention_through(around: Around) -> Iterator[None]:
    original = mx.fast.scaled_dot_product_attention

    def dispatch(*args: Any, **kwargs: Any) -> Any:
        return around(original, args, kwargs)

    mx.fast.scaled_dot_product_attention = dispatch
    try:
        yield
    finally:
        mx.fast.scaled_dot_product_attention = original
