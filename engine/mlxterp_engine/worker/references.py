"""Models that are files: the engine's working folder is not the asker's."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlxterp_engine.worker.tasks import Task

import msgspec


def seen_from_here(task: Task) -> Task:
    """The task with its model's path, if it is one, made absolute."""
    model = getattr(task, "model", None)
    if model is None or not _is_path(model):
        return task
    return msgspec.structs.replace(task, model=os.path.abspath(Path(model).expanduser()))


def _is_path(model: str) -> bool:
    """Written like a path, or a folder of that name is here. Bare names are the catalogue's."""
    if re.match(r"[./~]", model) or model.endswith(".gguf"):
        return True
    return os.sep in model and Path(model).exists()
