"""mlxterp_engine: open up language models with MLX. Imports no screen."""

__version__ = "0.1.0"
