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


def in_use() -> bool:
    """Whether calls go through something now."""
    return _owner is not None


@contextmanager
def calls_through(
    modules: Iterable[tuple[nn.Module, Around]],
    attention: Around | None = None,
    softmax: Around | None = None,
) -> Iterator[None]:
    """Send calls of these modules, of the attention kernel and of mx.softmax through functions.

    Each gets the original (bound) call, its args and its kwargs, and returns what the caller
    shall see. A module named twice goes through both, the later outside. Only one thread may
    have this open: classes are shared by all threads.
    """
    with ExitStack() as stack:
        stack.enter_context(_one_thread())
        by_class: dict[type, dict[int, Around]] = {}
        for module, around in modules:
            instances = by_class.setdefault(_definer(type(module)), {})
            inner = instances.get(id(module))
            instances[id(module)] = around if inner is None else _both(inner, around)
        for owner, instances in by_class.items():
            stack.enter_context(_dispatching(owner, instances))
        if attention is not None:
            stack.enter_context(replaced(mx.fast, "scaled_dot_product_attention", attention))
        if softmax is not None:
            stack.enter_context(replaced(mx, "softmax", softmax))
        yield


def _both(inner: Around, outer: Around) -> Around:
    def through(original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return outer(lambda *a, **k: inner(original, a, k), args, kwargs)

    return through


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
def replaced(owner: Any, name: str, around: Around) -> Iterator[None]:
    """Send a function that is looked up by its name at each call through another."""
    original = getattr(owner, name)

    def dispatch(*args: Any, **kwargs: Any) -> Any:
        return around(original, args, kwargs)

    setattr(owner, name, dispatch)
    try:
        yield
    finally:
        setattr(owner, name, original)


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], where: int | str) -> Any:
    """An argument of a call, by position or keyword."""
    return args[where] if isinstance(where, int) else kwargs[where]


def with_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], where: int | str, value: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with one of them replaced."""
    if isinstance(where, int):
        return (*args[:where], value, *args[where + 1 :]), kwargs
    return args, kwargs | {where: value}


def first_array(output: Any) -> Any:
    """What a module puts out; of several things (a state, a cache) the first."""
    return output[0] if isinstance(output, tuple | list) else output


def with_first_array(output: Any, value: Any) -> Any:
    """The same output with its first array replaced."""
    if not isinstance(output, tuple | list):
        return value
    return type(output)((value, *output[1:]))
