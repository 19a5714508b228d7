"""Experiments in plain Python, and what the log keeps of them."""

from mlxterp_engine import LogitLens, Trace, run
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.runlog.replay import request_of

import numpy as np
import pytest

ASKED = LogitLens(prompt="Alice was", model="glass-tiny")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)
    with RunLog.open() as opened:
        yield opened


def test_a_run_is_kept_as_it_was(log, tiny):
    kept = run(ASKED, tiny, recording=Recording(hypothesis="a newline", tags=("t",)))
    record = log.record(kept.id)
    assert (record.hypothesis, record.tags, record.state) == ("a newline", ("t",), "done")
    assert record.headline == kept.meta.headline
    assert record.price is not None
    again = log.result(kept.id)
    assert again.arrays == kept.result.arrays
    assert again.meta == kept.meta


@pytest.mark.parametrize("asked", [ASKED, Trace(prompt="Alice was", sites=["blocks.1.*"])])
def test_a_run_replays_from_the_log_without_drift(log, tiny, asked):
    first = run(asked, tiny)
    second = run(request_of(log.record(first.id)))
    assert {name: np.abs(a - first.arrays[name]).max() for name, a in second.arrays.items()} == (
        dict.fromkeys(first.arrays, 0)
    )


def test_what_is_kept_names_the_model_that_ran_and_not_the_default(log, tiny):
    kept = run(LogitLens(prompt="Alice was"), tiny)
    record = log.record(kept.id)
    assert record.request["model"] == "glass-tiny"
    assert (record.request["device"], record.request["dtype"]) == ("cpu", "float32")


@pytest.mark.parametrize("off", ["argument", "environment"])
def test_recording_can_be_turned_off(log, tiny, monkeypatch, off):
    if off == "environment":
        monkeypatch.setenv("MLXTERP_NO_LOG", "1")
    assert run(ASKED, tiny, log=off != "argument").id is None
    assert log.lines() == []


def test_a_log_of_one_s_own_can_be_given(log, tiny, tmp_path):
    with RunLog.open(tmp_path / "mine") as mine:
        assert run(ASKED, tiny, log=mine).id == 1
        assert len(mine.lines()) == 1
    assert log.lines() == []


def test_a_run_that_is_broken_off_is_kept_as_cancelled(log, tiny):
    def stop(part):
        raise KeyError("enough")

    with pytest.raises(KeyError):
        run(ASKED, tiny, on_part=stop)
    [line] = log.lines()
    assert line.state == "cancelled"


def test_what_is_refused_leaves_nothing(log, tiny):
    with pytest.raises(BadInput):
        run(LogitLens(prompt="Alice was", target="two tokens here"), tiny)
    assert log.lines() == []


def test_a_log_that_can_not_be_used_is_a_warning_and_the_run_goes_on(tmp_path, tiny, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    with pytest.warns(RuntimeWarning, match=r"not recorded: .* can't be made"):
        finished = run(ASKED, tiny)
    assert finished.id is None
    assert finished.arrays["kl"].shape == (5, 2)
