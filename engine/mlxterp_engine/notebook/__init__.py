"""What a notebook works with: prompts, modules, predictions and small tables, in plain Python.

`mlxterp_engine.interpretable` puts them together.
"""

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
