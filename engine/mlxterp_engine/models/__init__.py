"""What a language model is: where it comes from, its tokens, its parts."""

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
