"""Models that are files: the engine's working folder is not the asker's."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlxterp_engine.worker.tasks import Task

import msgspec


def seen_from(folder: str, task: Task) -> Task:
    """The task with its model's path, if it is one, made absolute: it begins in this folder."""
    model = getattr(task, "model", None)
    if model is None or not _is_path(model, folder):
        return task
    path = os.path.join(folder, os.path.expanduser(model))
    return msgspec.structs.replace(task, model=os.path.abspath(path))


def _is_path(model: str, folder: str) -> bool:
    """Written like a path, or a folder of that name is there. Bare names are the catalogue's."""
    if re.match(r"[./~]", model) or model.endswith(".gguf"):
        return True
    return os.sep in model and Path(folder, model).exists()
