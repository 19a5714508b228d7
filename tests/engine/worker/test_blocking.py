"""The engine without an event loop."""

import signal
import subprocess
import sys
import threading

from mlxterp_engine.experiments import BadInput, LogitLens, Result, RunFailed, Step
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.client import NoEngine

import pytest
from stand_in import row

pytestmark = pytest.mark.usefixtures("no_engine_left")


def test_a_task_runs_to_its_result(home):
    with BlockingEngine.private() as engine:
        result = engine.run(LogitLens(prompt="rows 1"))
    assert isinstance(result, Result)
    assert result.strings == {"top_tokens": [" Paris"]}


def test_events_are_heard_on_the_calling_thread(home):
    heard = []

    def hear(event):
        heard.append((threading.current_thread(), event))

    with BlockingEngine.private() as engine:
        engine.run(LogitLens(prompt="rows 2"), hear)
    parts = [event for _, event in heard if not isinstance(event, Step)]
    assert parts[1:] == [row(0), row(1)]
    assert {thread for thread, _ in heard} == {threading.main_thread()}


def test_failures_are_raised_as_what_they_are_and_the_engine_goes_on(home):
    with BlockingEngine.private() as engine:
        with pytest.raises(BadInput, match="give one token"):
            engine.run(LogitLens(prompt="bad"))
        with pytest.raises(RunFailed, match="try again"):
            engine.run(LogitLens(prompt="fail"))
        assert isinstance(engine.run(LogitLens(prompt="rows 1")), Result)


def test_a_job_of_the_background_engine_can_be_followed_later(home):
    with BlockingEngine.attach() as engine:
        job_id = engine.submit(LogitLens(prompt="rows 1")).id
    with BlockingEngine.attach(start=False) as engine:
        assert isinstance(engine.follow(engine.watch(job_id), lambda event: None), Result)
        engine.shutdown()
    with pytest.raises(NoEngine):
        BlockingEngine.attach(start=False)


def test_no_thread_is_left_behind_when_there_is_no_engine(home):
    before = threading.active_count()
    with pytest.raises(NoEngine):
        BlockingEngine.attach(start=False)
    assert "engine" not in [thread.name for thread in threading.enumerate()]
    assert threading.active_count() <= before


def test_ctrl_c_cancels_the_job_and_is_told_as_cancelled(home, tmp_path):
    script = (
        "from mlxterp_engine.worker.blocking import BlockingEngine\n"
        "from mlxterp_engine.experiments import LogitLens, RunCancelled\n"
        "with BlockingEngine.private() as engine:\n"
        "    try:\n"
        f"        engine.run(LogitLens(prompt='hold {tmp_path / 'go'}'),\n"
        "                   lambda event: print('event', flush=True))\n"
        "    except RunCancelled as cancelled:\n"
        "        print('cancelled', flush=True)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    with client.stdout:
        assert client.stdout.readline() == "event\n"
        client.send_signal(signal.SIGINT)
        assert client.stdout.read().splitlines()[-1] == "cancelled"
    assert client.wait() == 0
    assert (tmp_path / "go.closed").exists()
