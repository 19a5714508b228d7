"""Files that a task names: the engine's working folder is not the asker's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.worker.tasks import Task

import msgspec


def seen_from(folder: str, task: Task) -> Task:
    """The task with its paths made absolute: those that are relative begin in this folder."""
    changed = {
        name: change(value, folder)
        for name, change in CHANGES.items()
        if (value := getattr(task, name, None)) is not None
    }
    return msgspec.structs.replace(task, **changed)


def working_folder() -> str:
    """BadInput where somebody took it away."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise BadInput("the folder that you are in is gone; go to another one") from None


def _model(said: str, folder: str) -> str:
    return _absolute(said, folder) if _is_path(said, folder) else said


def _is_path(model: str, folder: str) -> bool:
    """Written like a path, or a folder of that name is there. Bare names are the catalogue's."""
    if re.match(r"[./~]", model) or model.endswith(".gguf"):
        return True
    return os.sep in model and Path(folder, model).exists()


def _lens(said: str, folder: str) -> str:
    """Bare names are those of kept lenses."""
    return _absolute(said, folder) if os.sep in said else said


def _texts(said: list[str], folder: str) -> list[str]:
    return [_text(name, folder) for name in said]


def _text(said: str, folder: str) -> str:
    """`builtin`, a hub's dataset: what is no path here stays as it is."""
    path = _absolute(said, folder)
    return path if os.path.exists(path) else said


def _absolute(said: str, folder: str) -> str:
    return os.path.abspath(os.path.join(folder, os.path.expanduser(said)))


CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "model": _model,
    "lens": _lens,
    "corpus": _texts,
    "held_out": _texts,
    "dataset": _text,
    "out_dir": _absolute,
}
