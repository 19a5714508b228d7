"""What the research log looks like: `pytest --snapshot-update` after looking at the pictures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from mlxterp_engine.experiments import Contract, Result
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.runs.pane import RunsPane
from mlxterp_tui.screens.comparison import LensComparison

import msgspec
import pytest
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)
NOON = 1_592_222_400.0  # 15 June 2020, 12:00 UTC
BROKEN = {"lens_last_row": Contract(0.5, 1e-4, False)}
After = Callable[[Pilot[None]], Awaitable[None]]


@pytest.fixture
def log(home: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunLog]:
    """A family, a failed check, a cancelled run and a failed one, all at a time gone by."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with RunLog.open() as opened:
        expects = Said(hypothesis="Paris is on top from block 20 on", tags=("capitals",))
        first = done(opened, recording, 0, expects, headline="' Paris' p 0.77, top from block 29")
        opened.annotate(first, outcome="only from block 29 on", note="try larger models")
        done(opened, recording, 1, Said(parent=first), headline="' Paris' p 0.77, target rank 0")
        done(opened, recording, 2, headline="' Mary' p 0.92", contracts=BROKEN)
        stopped = opened.begin(recording.runs[0].task, model=recording.card)  # type: ignore[arg-type]
        opened.cancelled(stopped, recording.runs[0].events[:8])  # type: ignore[arg-type]
        failed = opened.begin(recording.runs[2].task)  # type: ignore[arg-type]
        opened.failed(failed, "the run needs 9.1 GB of memory and 4.0 GB are free")
        opened._connection.execute("UPDATE runs SET created = ? + 60 * id", (NOON,))
        yield opened
    monkeypatch.undo()
    time.tzset()


def done(log: RunLog, recording: Recording, number: int, said: Said | None = None, **meta) -> int:
    run = recording.runs[number]
    outcome = run.events[-1].outcome  # type: ignore[union-attr]
    assert isinstance(outcome, Result)
    figures = {"top_prob": 0.7725, "stays_from": 29.0, "kl_middle": 28.16}
    changed = msgspec.structs.replace(outcome.meta, **{"figures": figures, **meta})
    id = log.begin(run.task, said or Said(), run.price)  # type: ignore[arg-type]
    log.finish(id, msgspec.structs.replace(outcome, meta=changed))
    return id


async def on_list(pilot: Pilot[None]) -> RunsPane:
    """The list is there, and what is known of the run under the cursor."""
    app = pilot.app
    assert isinstance(app, MlxterpApp)
    for _ in range(300):
        if app.session.card is not None and not app.runs.current:
            break
        await pilot.pause(0.02)
    await pilot.press("escape", "4")
    pane = app.main.query_one(RunsPane)
    for _ in range(300):
        if pane._known is not None and pane._known.record.id == pane.run_id:
            break
        await pilot.pause(0.02)
    await pilot.pause(0.1)
    return pane


async def whole_family(pilot: Pilot[None]) -> None:
    pane = await on_list(pilot)
    pane._go_to(1)
    for _ in range(300):
        if pane._known is not None and pane._known.record.id == 1:
            break
        await pilot.pause(0.02)
    await pilot.pause(0.1)


@pytest.fixture
def looks_the_same(snap_compare, recording: Recording, log: RunLog):
    def compare(size: tuple[int, int], after: After = whole_family, **arguments: str) -> bool:
        engine = RecordedEngine(recording, log=log)
        engine.records = False  # what the app itself asks would stand there with the time of now
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]
        return snap_compare(app, terminal_size=size, run_before=after)

    return compare


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "200x50"])
def test_the_runs(looks_the_same, size, theme):
    assert looks_the_same(size, theme=theme)


def test_the_runs_without_colours(looks_the_same):
    assert looks_the_same(SMALL, color="none")


def test_a_filter(looks_the_same):
    async def filtered(pilot: Pilot[None]) -> None:
        pane = await on_list(pilot)
        await pilot.press("slash", *"state", "colon", *"done")
        for _ in range(300):
            if len(pane._listing.lines) == 3:
                break
            await pilot.pause(0.02)
        await pilot.pause(0.3)

    assert looks_the_same(SMALL, filtered)


def test_two_lenses_compared(looks_the_same):
    async def compared(pilot: Pilot[None]) -> None:
        await on_list(pilot)
        app = pilot.app
        assert isinstance(app, MlxterpApp)
        app.recorded.compare(1, 2)
        for _ in range(300):
            if isinstance(app.screen, LensComparison):
                break
            await pilot.pause(0.02)
        await pilot.pause(0.3)

    assert looks_the_same(MEDIUM, compared)


def test_a_cancelled_run_out_of_the_log(looks_the_same):
    async def shown(pilot: Pilot[None]) -> None:
        await on_list(pilot)
        app = pilot.app
        assert isinstance(app, MlxterpApp)
        app.recorded.open(4)
        for _ in range(300):
            if app.main.pane.stored is not None:
                break
            await pilot.pause(0.02)
        await pilot.pause(0.3)

    assert looks_the_same(SMALL, shown)
