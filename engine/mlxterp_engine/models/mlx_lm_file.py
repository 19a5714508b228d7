"""mlx-lm's files without its package start, which imports transformers (0.8 s).

`mlx_lm` stands in `sys.modules` as a package that has not been started yet. Whoever asks it for
something of its own (`mlx_lm.load`) starts it then, and finds it as ever.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from mlxterp_engine.experiments.errors import BadInput

PACKAGE = "mlx_lm"


def mlx_lm_file(name: str) -> ModuleType:
    """`mlx_lm.NAME`, e.g. `models.llama`. BadInput where mlx-lm is not installed."""
    if PACKAGE not in sys.modules:
        sys.modules[PACKAGE] = _unstarted()
    return importlib.import_module(f"{PACKAGE}.{name}")


class _Unstarted(ModuleType):
    """A package whose files can be imported, and which starts when its own names are wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # tools that look at modules want no start
            raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}")
        self.__class__ = ModuleType
        loader = self.__spec__ and self.__spec__.loader
        assert loader is not None  # it was found on disk
        loader.exec_module(self)
        return getattr(self, name)


def _unstarted() -> ModuleType:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise BadInput("mlx-lm is not installed; python -m pip install mlx-lm")
    # As the start that is put off does: transformers would say that there is no PyTorch.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Unstarted
    return module
