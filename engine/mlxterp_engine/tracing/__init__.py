"""Places in a model: recording them, editing them, proving that both are true."""

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
