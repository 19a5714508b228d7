"""A training as a live page, played by a recorded engine: no step is computed here."""

from __future__ import annotations

from mlxterp_engine.experiments import Price, TrainRidgeLens
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_engine.worker.protocol import Failed, Finished
from mlxterp_tui.folders import state_file
from mlxterp_tui.panes.training import text as training_text
from mlxterp_tui.panes.training.curves import Curves
from mlxterp_tui.widgets.long_list import LongList

import msgspec
import pytest
import scripted_training as script
from recorded_engine import RecordedRun, Recording

PRICE = Price(2000, 90, 4 * 10**8)
UNTIL_STEP_20 = 44  # events: an evaluation, then a Step and a LensStep each, two evaluations


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The engine's recording, and in it a training that ends well."""
    recording = Recording.load("smollm2")
    end = Finished(script.result(recording.card))
    run = RecordedRun(script.REQUEST, PRICE, [*script.parts(), end])
    return msgspec.structs.replace(recording, runs=[*recording.runs, run])


async def training(screen, until: int | None = UNTIL_STEP_20) -> None:
    """Begin it from the lens; it stops to speak after so many events."""
    await screen.press("escape")
    screen.engine._free = until
    screen.app.trainings.begin(script.REQUEST)
    await screen.sees("Training")


def curves(screen) -> Curves:
    return screen.app.main._panes["training"]._curves


async def test_the_page_shows_how_far_it_is_while_it_runs(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        assert "tuned lens · builtin · one layer" in screen.text
        await screen.sees("3 logit lens")
        assert "held out below the logit lens" not in screen.text  # one layer is over-fitted
        await screen.sees("over-fitting at layer 4")


async def test_at_the_end_it_says_how_the_lens_is_shown(opened):
    async with opened() as screen:
        await training(screen, None)
        await screen.sees("✓ done")
        await screen.until(lambda: screen.notices)
        assert "the tuned lens of smollm2-135m is ready; w in the lens shows it" in screen.notices
        assert screen.app.main.pane.result is not None
        assert len(curves(screen).held_out) == 5


async def test_j_and_k_choose_the_layer_that_is_drawn(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("block 2 · KL(final ‖ lens), nats")
        await screen.press("k")
        await screen.sees("block 1 · KL(final ‖ lens), nats")


async def test_m_goes_through_the_charts_and_l_changes_the_axis(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("block 2 · KL(final ‖ lens), nats · log")
        await screen.press("l")
        await screen.until(lambda: "nats · log" not in screen.text)
        for words in ("five layers, held out", "five layers, training", "all layers", "one layer"):
            await screen.press("m")
            await screen.sees(words)


async def test_whoever_leaves_and_comes_back_sees_the_whole_chart(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        await screen.press("escape")
        assert screen.app.main.pane_name == "lens"
        await screen.press("3")
        await screen.until(lambda: isinstance(screen.app.focused, LongList))
        await screen.press("enter")
        await screen.sees("step 20 of 40")
        await screen.until(lambda: len(curves(screen).train) == 20)
        screen.engine.release()
        await screen.sees("✓ done")
        assert len(curves(screen).train) == 40


async def test_a_lens_that_is_asked_for_meanwhile_does_not_stop_it(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        await screen.press("1")
        screen.engine._free = None
        await screen.press("r")
        await screen.until(lambda: screen.app.main.pane.contracts)
        assert all(not job._cancelled.is_set() for job in screen.engine._jobs.values())


async def test_the_line_on_top_tells_of_it_in_every_pane(opened):
    async with opened() as screen:
        await training(screen)
        await screen.press("1")
        await screen.until(lambda: "tuned lens" in screen.lines[0])
        screen.engine.release()
        await screen.until(lambda: "tuned lens" not in screen.lines[0])


async def test_x_stops_it_and_says_what_is_kept(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        await screen.press("x")
        await screen.sees("cancelled")
        assert any("its checkpoint is kept, r goes on" in said for said in screen.notices)


async def test_x_in_the_lens_stops_the_lens_and_never_the_training(opened):
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        await screen.press("1", "x")
        assert all(not job._cancelled.is_set() for job in screen.engine._jobs.values())


RESUMED = msgspec.structs.replace(script.REQUEST, resume=True)


@pytest.fixture
def resumable(recording):
    """What the engine tells of the training when it goes on from step 20."""
    end = Finished(script.result(recording.card))
    return RecordedRun(RESUMED, PRICE, [*script.parts(), end])


@pytest.mark.parametrize("where", ["page", "jobs"])
async def test_r_goes_on_with_a_training_that_was_stopped(opened, log, recording, resumable, where):
    async with opened(log=log) as screen:
        screen.engine.recording = msgspec.structs.replace(
            recording, runs=[*recording.runs, resumable]
        )
        await training(screen)
        await screen.sees("step 20 of 40")
        await screen.press("x")
        await screen.sees("– cancelled")
        if where == "jobs":
            await screen.press("3")
            await screen.until(lambda: screen.app.main.pane_name == "jobs")
            await screen.pilot.pause()
        screen.engine._free = None
        await screen.press("r")
        await screen.sees("✓ done")
        assert screen.engine.asked[-1] == RESUMED
        assert screen.engine.said[-1].parent == 2  # the run that was stopped; 1 is the lens


async def test_a_ridge_lens_has_nothing_to_go_on_from(opened, log, recording):
    run = log.begin(TrainRidgeLens(), Said(), PRICE, model=recording.card)
    log.cancelled(run, [script.evaluation(0)])
    async with opened(log=log) as screen:
        await screen.press("escape")
        await screen.command(f"show {run}")
        await screen.sees("– cancelled")
        await screen.press("r")
        await screen.until(lambda: screen.notices)
        assert "a ridge lens is fitted in one go" in screen.notices[-1]


async def test_keys_that_mean_nothing_now_say_what_would(opened):
    async with opened() as screen:
        await training(screen, None)
        await screen.sees("✓ done")
        await screen.press("x")
        assert "no training runs here; t begins one" in screen.notices[-1]
        await screen.press("r")
        assert "only a training that was stopped or failed can go on" in screen.notices[-1]


async def test_a_failure_is_said_on_the_page_and_told_once(opened, recording):
    broken = [*script.parts(20), Failed("the loss of layer 3 is NaN at step 21; a checkpoint of "
                                        "step 20 is kept")]  # fmt: skip
    async with opened() as screen:
        screen.engine.recording = msgspec.structs.replace(
            recording, runs=[*recording.runs[:-1], RecordedRun(script.REQUEST, PRICE, broken)]
        )
        await training(screen, None)
        await screen.sees("✗ failed: the loss of layer 3 is NaN at step 21")
        await screen.until(lambda: screen.notices)
        assert sum("NaN at step 21" in said for said in screen.notices) == 1


async def test_many_steps_are_painted_a_few_times_only(opened, monkeypatch):
    painted = []
    async with opened() as screen:
        await training(screen)
        await screen.sees("step 20 of 40")
        page = screen.app.main.pane
        paint = page._paint_chart
        monkeypatch.setattr(page, "_paint_chart", lambda: (painted.append(1), paint()))
        for number in range(21, 41):
            page.show([script.step(number)], None)
        await screen.sees("step 40 of 40")
        assert len(painted) <= 2


async def test_y_copies_the_table(opened):
    async with opened() as screen:
        await training(screen, None)
        await screen.sees("✓ done")
        await screen.press("y")
        copied = state_file("last-copy.txt")
        await screen.until(copied.exists)
        await screen.until(lambda: copied.read_text() == training_text.table_tsv(curves(screen)))


async def test_the_pane_writes_its_table(opened, tmp_path):
    async with opened() as screen:
        await training(screen, None)
        await screen.sees("✓ done")
        await screen.command(f"export {tmp_path / 'lens.tsv'}")
        await screen.until((tmp_path / "lens.tsv").exists)
        assert (tmp_path / "lens.tsv").read_text().startswith("layer\tkl_logit_lens")


async def test_a_training_out_of_the_log_is_the_same_page(opened, log, recording):
    run = log.begin(script.REQUEST, Said(), PRICE)
    log.finish(run, script.result(recording.card))
    async with opened(log=log) as screen:
        await screen.press("escape")
        await screen.command(f"show {run}")
        await screen.sees("✓ done")
        assert len(curves(screen).train) == 40
        assert "The capital of France is" in screen.text  # the prompt stays as it was


async def test_a_cancelled_training_out_of_the_log_shows_how_far_it_came(opened, log, recording):
    run = log.begin(script.REQUEST, Said(), PRICE, model=recording.card)
    log.cancelled(run, script.parts(15))
    async with opened(log=log) as screen:
        await screen.press("escape")
        await screen.command(f"show {run}")
        await screen.sees("cancelled")
        await screen.sees("step 15 of 40")


async def test_the_jobs_list_says_what_a_training_is_at(opened):
    async with opened() as screen:
        await training(screen)
        await screen.press("3")
        await screen.sees("train-tuned-lens")
        assert "builtin" in screen.text


async def test_the_page_alone_teaches_how_a_training_is_begun(opened):
    async with opened() as screen:
        await screen.press("escape")
        screen.app.main.action_show_pane("training")
        await screen.sees("No training is shown")
        assert ":train ridge" in screen.text
