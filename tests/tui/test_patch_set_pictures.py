"""What causal tracing and sets look like: runs of the log on the default model, which need no
engine. `python tests/tui/record.py patching_sets` makes them anew."""

from __future__ import annotations

import time

from mlxterp_engine.experiments import ActivationPatching, CausalTracing, Result
from mlxterp_engine.worker.protocol import Finished
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.exports.naming import unrecorded
from mlxterp_tui.logbook import Stored

import msgspec
import pytest
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)
NUMBER = 42


@pytest.fixture(scope="module")
def sets() -> Recording:
    return Recording.load("patching_sets")


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    """The heading says when the run was."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def result_of(recording: Recording, kind: type, **fields: object) -> Result:
    """Of the one run of that kind whose request has these fields."""
    for run in recording.runs:
        ours = all(getattr(run.task, name, None) == value for name, value in fields.items())
        if isinstance(run.task, kind) and ours:
            end = run.events[-1]
            assert isinstance(end, Finished)
            assert isinstance(end.outcome, Result)
            return end.outcome
    raise AssertionError(f"no {kind.__name__} with {fields}")


@pytest.fixture
def looks_the_same(snap_compare, sets: Recording):
    def compare(result: Result, size: tuple[int, int], *keys: str, **arguments: str) -> bool:
        record = msgspec.structs.replace(unrecorded(result, created=0.0), id=NUMBER)
        engine = RecordedEngine(sets)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: app.screen.query("LensPane") and app.main.pane.contracts)
            await pilot.press("escape")
            await app.recorded._show(Stored(record, result))
            await pilot.pause(0.2)
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.05)
            await pilot.pause(0.4)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


async def until(pilot: Pilot[None], condition) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.02)


@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_a_traced_fact(looks_the_same, sets, size):
    assert looks_the_same(result_of(sets, CausalTracing, facts=None), size, "n")


def test_a_window_of_mlps_with_a_draw_of_its_own(looks_the_same, sets):
    assert looks_the_same(
        result_of(sets, CausalTracing, facts=None), MEDIUM, "s", "n", ".", ".", theme="light"
    )


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "200x50"])
def test_a_set_of_facts(looks_the_same, sets, size):
    assert looks_the_same(result_of(sets, CausalTracing, facts="known"), size, "n")


def test_where_the_largest_effect_of_each_fact_lies(looks_the_same, sets):
    assert looks_the_same(
        result_of(sets, CausalTracing, facts="known"), MEDIUM, "s", "s", "s", "n", theme="light"
    )


def test_the_mean_of_a_set_of_pairs(looks_the_same, sets):
    assert looks_the_same(result_of(sets, ActivationPatching), MEDIUM, "n")


def test_a_pair_of_the_set_by_key_value_heads(looks_the_same, sets):
    assert looks_the_same(result_of(sets, ActivationPatching), MEDIUM, "s", ".", ".", ".", "n")
