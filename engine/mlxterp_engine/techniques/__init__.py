"""How each experiment is computed: one file a technique."""

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
