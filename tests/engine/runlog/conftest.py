"""A log in a folder of its own, and results without a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mlxterp_engine.runlog.log import RunLog

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "worker"):  # `logged`, and `stand_in`, also for processes
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def log(folder: Path) -> Iterator[RunLog]:
    with RunLog.open(folder) as opened:
        yield opened
