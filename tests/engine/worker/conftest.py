"""Real engine processes, in a home of their own, with a workbench that needs no MLX."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from mlxterp_engine.worker import launch
from mlxterp_engine.worker.client import Engine

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # tests and engine processes import `stand_in` from here


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of mlxterp lies here; engines use the stand-in workbench."""
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLXTERP_WORKBENCH", "stand_in:StandIn")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return tmp_path / "home"


@pytest.fixture
async def engine(home: Path) -> AsyncIterator[Engine]:
    """Attached to a background engine that this test started."""
    async with await Engine.attach() as attached:
        yield attached
        if not attached.lost.done():
            await attached.shutdown(force=True)


@pytest.fixture
def no_engine_left(home: Path) -> Iterator[None]:
    """For tests that start background engines by themselves."""
    yield
    asyncio.run(_stop())


async def _stop() -> None:
    with contextlib.suppress(launch.NoEngine):
        async with await Engine.attach(start=False) as engine:
            await engine.shutdown(force=True)
