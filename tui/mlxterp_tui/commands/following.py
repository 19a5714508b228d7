"""What commands that wait for an engine share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mlxterp_engine.experiments import RunFailed
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.client import NoEngine


@contextlib.contextmanager
def failures_name_the_log(engine: BlockingEngine) -> Iterator[None]:
    """A failed run's one line says where to read on."""
    try:
        yield
    except RunFailed as error:
        if engine.log in str(error):
            raise
        raise RunFailed(f"{error}; the log is {engine.log}", error.details) from error


def running_or_private() -> BlockingEngine:
    """The background engine if it runs, else one that reads what was kept, and ends."""
    try:
        return BlockingEngine.attach(start=False)
    except NoEngine:
        return BlockingEngine.private()
