"""Find the background engine, or start one."""

from __future__ import annotations

from mlxterp_engine.experiments import RunFailed


class NoEngine(RunFailed):
    """No engine is running, and none was to be started."""
