"""Runs to write: the recorded lens, and all that a log can say of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests import `made` from here

from mlxterp_engine.experiments import Result
from mlxterp_tui.logbook import Stored

import made
from recorded_engine import Recording


@pytest.fixture(scope="session")
def lens(recording: Recording) -> Result:
    """`The capital of France is` on the default model, with ' Paris' as target."""
    outcome = recording.runs[1].events[-1].outcome  # type: ignore[union-attr]
    assert isinstance(outcome, Result)
    return outcome


@pytest.fixture
def stored(lens: Result) -> Stored:
    return made.stored(
        lens, id=42, hypothesis="' Paris' from block 20 on", outcome="only the last block"
    )
