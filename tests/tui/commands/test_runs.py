"""`mlxterp-tui runs`, and what `run` says of the log. Engines are stand-ins without MLX."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlxterp_engine.experiments import Contract
from mlxterp_engine.runlog import upkeep
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording
from mlxterp_tui.__main__ import main

import msgspec
import numpy as np
import pytest

PATIENCE = 60.0
STAND_IN = Path(__file__).parents[2] / "engine" / "worker"
if str(STAND_IN) not in sys.path:
    sys.path.append(str(STAND_IN))
import stand_in  # noqa: E402


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLXTERP_WORKBENCH", "stand_in:StandIn")
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)
    return tmp_path / "home"


@pytest.fixture
def cli(capsys):
    """(exit status, standard output, standard error) of a command line."""

    def run(*words):
        status = main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def runs(cli):
    """A `runs` command that has to succeed; its standard output."""

    def run(*words):
        status, out, err = cli("runs", *words)
        assert (status, err) == (0, "")
        return out

    return run


@pytest.fixture
def refused(cli):
    """The one line with which a command is refused."""

    def run(*words):
        status, out, err = cli(*words)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        return err.removeprefix("mlxterp-tui: ").rstrip()

    return run


def kept(prompt="rows 1", values=(1.0, float("nan")), *, said=None, **meta):
    """A finished run of the stand-in, without an engine."""
    asked = stand_in.LogitLens(prompt=prompt, model="stand-in")
    made = stand_in.result(asked, *values)
    made = msgspec.structs.replace(made, meta=msgspec.structs.replace(made.meta, **meta))
    with RunLog.open() as log:
        run = log.begin(asked, said or Recording(), model=made.meta.model)
        log.finish(run, made)
    return run


def failed(reason="why"):
    with RunLog.open() as log:
        run = log.begin(stand_in.LogitLens(prompt="rows 1"))
        log.failed(run, reason)
    return run


def record(run):
    with RunLog.open() as log:
        return log.record(run)


def ids(out):
    return [line["id"] for line in json.loads(out)]


# Recording.


def test_a_run_says_on_standard_error_where_it_is_kept(cli):
    words = ("--hypothesis", "it holds", "--note", "n", "--tag", "a", "to do", "--tag", "b")
    status, out, err = cli("run", "logit-lens", "--prompt", "rows 1", "--json", *words)
    assert status == 0
    assert err.splitlines()[-1] == "run 1 recorded"
    assert json.loads(out)["entropy"] == [1.0, None]
    known = record(1)
    assert (known.hypothesis, known.note, known.tags) == ("it holds", "n", ("a", "to do", "b"))


@pytest.mark.parametrize("off", ["option", "environment"])
def test_a_run_can_leave_nothing_behind(cli, home, monkeypatch, off):
    words = ["--no-log"] if off == "option" else []
    if off == "environment":
        monkeypatch.setenv("MLXTERP_NO_LOG", "1")
    status, _, err = cli("run", "logit-lens", "--prompt", "rows 1", "--json", *words)
    assert status == 0
    assert "recorded" not in err
    assert not (home / "data").exists()


def test_the_result_is_the_same_whether_it_is_recorded_or_not(cli):
    outs = [
        json.loads(cli("run", "logit-lens", "--prompt", "rows 1", "--json", *words)[1])
        for words in ([], ["--no-log"], ["--hypothesis", "x", "--tag", "t"])
    ]
    assert outs[0] == outs[1] == outs[2]


def test_what_the_log_should_keep_and_no_log_exclude_each_other(refused):
    words = ("run", "logit-lens", "--prompt", "rows 1", "--no-log", "--note", "x")
    assert refused(*words) == "--no-log leaves nothing behind; leave it or what the log is to keep"


def test_a_tag_that_can_not_be_one_is_refused_before_anything_runs(refused, home):
    assert "can't be a tag" in refused("run", "logit-lens", "--prompt", "rows 1", "--tag", "a\nb")
    assert not (home / "data").exists()


def test_a_log_that_can_not_be_used_is_said_and_the_run_goes_on(cli, home):
    home.mkdir()
    (home / "data").write_text("no folder")
    status, out, err = cli("run", "logit-lens", "--prompt", "rows 1", "--json")
    assert status == 0
    assert json.loads(out)["entropy"] == [1.0, None]
    [line] = [line for line in err.splitlines() if line.startswith("mlxterp-tui: ")]
    assert "the run is not recorded: " in line
    assert "run 1" not in err


def test_an_interrupted_run_is_kept_as_far_as_it_came(tmp_path):
    words = ("run", "logit-lens", "--prompt", f"hold {tmp_path / 'never'}")
    command = [sys.executable, "-m", "mlxterp_tui", *words]
    with subprocess.Popen(command, text=True, stderr=subprocess.PIPE) as process:
        until(lambda: (tmp_path / "home" / "data").exists() and states() == ["running"])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "run 1 recorded; what was computed is kept" in err.splitlines()
    with RunLog.open() as log:
        assert log.parts(1) == [stand_in.row(0)]


def states():
    with RunLog.open() as log:
        return [line.state for line in log.lines()]


def until(condition):
    """Poll until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)


# Looking.


def test_the_list_is_newest_first_in_the_shape_of_the_contract(runs):
    first, second = kept(headline="found", said=Recording(tags=("t",))), failed()
    listed = json.loads(runs("list", "--json"))
    assert [line["id"] for line in listed] == [second, first]
    assert list(listed[0]) == ["id", "experiment", "model", "created", "state", "headline", "tags"]
    assert {**listed[1], "created": 0} == {
        "id": first,
        "experiment": "logit-lens",
        "model": "stand-in",
        "created": 0,
        "state": "done",
        "headline": "found",
        "tags": ["t"],
    }


def test_the_list_is_narrowed_by_everything_that_narrows_it(runs):
    one = kept("rows 1", figures={"kl_middle": 6.0}, said=Recording(tags=("t",)))
    two = kept("rows 2")
    assert ids(runs("list", "--json", "--limit", "1")) == [two]
    assert ids(runs("list", "--json", "--search", "ROWS kl_middle>5")) == [one]
    assert ids(runs("list", "--json", "--tag", "t")) == [one]
    assert ids(runs("list", "--json", "--experiment", "trace")) == []
    assert ids(runs("list", "--json", "--since", "2999-01-01")) == []
    assert ids(runs("list", "--json", "--until", "2999-01-01", "--since", "2000-01-01")) == [
        two,
        one,
    ]


def test_the_list_for_people_has_a_line_a_run(runs):
    assert runs("list").startswith("no runs; each experiment leaves one: ")
    assert runs("list", "--search", "nothing").startswith("no run matches; ")
    run = kept("rows 1\nof two lines", headline="' Paris'", said=Recording(tags=("a", "b")))
    heading, line = runs("list").splitlines()
    assert heading.split() == [
        "id",
        "begun",
        "state",
        "experiment",
        "model",
        "prompt",
        "tags",
        "headline",
    ]
    assert line.startswith(f"{run} ")
    assert r"'rows 1\nof two lines'  a, b  ' Paris'" in line


def test_a_page_tells_what_was_expected_what_came_and_how(runs):
    parent = kept()
    run = kept(
        headline="' Paris'",
        figures={"kl_middle": 6.25},
        contracts={"lens_last_row": Contract(1.0, 0.5, ok=False)},
        said=Recording(hypothesis="it is Rome", parent=parent, note="n"),
    )
    runs("note", run, "--outcome", "it was Paris")
    page = runs("show", run)
    for text in ("it is Rome", "it was Paris", "' Paris'", "6.25", f"run {parent}", "0" * 16):
        assert text in page
    assert "lens_last_row  FAILS" in page
    assert f"led to run {run}" in " ".join(runs("show", parent).split())


def test_a_record_is_printed_whole_as_json(runs):
    run = kept(said=Recording(hypothesis="h"))
    told = json.loads(runs("show", run, "--json"))
    assert told == json.loads(msgspec.json.encode(record(run)))
    assert told["request"]["prompt"] == "rows 1"


def test_a_result_is_written_as_run_writes_it(cli, tmp_path):
    run = kept(values=(1.5, 2.5))
    status, _, err = cli("runs", "show", run, "--out", tmp_path / "lens.npz")
    assert (status, err) == (0, f"written to {tmp_path / 'lens.npz'}\n")
    with np.load(tmp_path / "lens.npz", allow_pickle=False) as written:
        assert written["entropy"].tolist() == [1.5, 2.5]
        assert json.loads(str(written["meta"]))["experiment"]["prompt"] == "rows 1"


# Saying, deleting.


def test_tags_are_added_and_taken_away(runs, refused):
    run = kept(said=Recording(tags=("a", "b")))
    assert runs("tag", run, "c", "--remove", "a") == f"run {run}: b, c\n"
    assert record(run).tags == ("b", "c")
    assert "TAG is missing" in refused("runs", "tag", run)


def test_a_note_is_replaced(runs, refused):
    run = kept()
    runs("note", run, "a new one")
    assert record(run).note == "a new one"
    assert "TEXT is missing" in refused("runs", "note", run)


def test_a_deleted_run_is_gone_until_it_is_restored(runs, refused):
    run = kept()
    assert f"run {run} was not deleted" in refused("runs", "restore", run)
    assert f"runs restore {run}" in runs("delete", run)
    assert ids(runs("list", "--json")) == []
    assert ids(runs("list", "--json", "--deleted")) == [run]
    runs("restore", run)
    assert ids(runs("list", "--json")) == [run]


# Replaying and comparing.


def test_a_replay_is_a_run_of_its_own_with_its_drift(cli):
    run = kept("rows 1", (1.0, float("nan")))
    status, out, err = cli("runs", "replay", run, "--json")
    assert status == 0
    assert json.loads(out) == {"id": 2, "of": run, "drift": {"entropy": 0.0, "top_ids": 0.0}}
    assert err.splitlines()[-1] == "run 2 recorded"
    assert (record(2).parent, record(2).request) == (run, {**record(run).request, "device": "cpu"})


def test_drift_is_told_array_by_array_and_shapes_that_differ_by_name(cli):
    drifted = kept("rows 1", (1.25, float("nan")))
    status, out, _ = cli("runs", "replay", drifted)
    assert status == 0
    assert "largest difference 0.25" in out.splitlines()[0]
    longer = kept("rows 1", (1.0, 2.0, 3.0))
    status, out, err = cli("runs", "replay", longer, "--json")
    assert (status, json.loads(out)["drift"]) == (0, {"entropy": None, "top_ids": 0.0})
    assert "entropy: the shapes differ: 3 and 2" in err


def test_other_weights_are_named_and_nothing_is_run_unless_any_model_will_do(cli):
    other = msgspec.structs.replace(stand_in.CARD, sha256="b" * 64)
    run = kept(model=other)
    status, out, err = cli("runs", "replay", run, "--json")
    assert (status, out) == (3, "")
    assert "bbbbbbbbbbbb" in err
    assert "000000000000" in err
    with RunLog.open() as log:
        assert len(log.lines()) == 1
    assert cli("runs", "replay", run, "--json", "--any-model")[0] == 0


@pytest.mark.parametrize(("value", "drift"), [(1.0, 0.0), (2.0, None)])
def test_a_replay_of_a_run_whose_file_is_lost_is_judged_by_its_hash(cli, value, drift):
    run = kept("rows 1", (value, float("nan")))
    with RunLog.open() as log:
        upkeep.result_path(log.folder, run).unlink()
    status, out, err = cli("runs", "replay", run, "--json")
    assert (status, json.loads(out)["drift"]) == (0, {"entropy": drift, "top_ids": drift})
    assert f"the result of run {run} is missing" in err
    assert ("how far off can't be said" in err) is (drift is None)


def test_two_runs_are_compared(runs):
    one, two = kept("rows 1", (1.0, 2.0)), kept("rows 2", (1.5, 2.0))
    told = json.loads(runs("compare", one, two, "--json"))
    assert told["drift"] == {"entropy": 0.5, "top_ids": 0.0}
    assert told["fields"] == {"experiment.prompt": ["rows 1", "rows 2"]}
    page = runs("compare", one, two)
    assert "entropy  0.5" in page
    assert "experiment.prompt  rows 1  rows 2" in page


# Refusals.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", 9), "there is no run 9; list them: mlxterp-tui runs list"),
        (("replay", 9), "there is no run 9; list them: mlxterp-tui runs list"),
        (("delete", 10**30), f"there is no run {10**30}; list them: mlxterp-tui runs list"),
        (("show", "x"), "ID: 'x' is no whole number; give one, e.g. 5"),
        (("list", "--limit", "-1"), "--limit: -1 is below 0; give how many to list"),
        (("list", "--since", "soon"), "'soon' is no date; write it as "),
        (("list", "--search", "since:soon"), "'soon' is no date; write it as "),
        (("lst",), "mlxterp-tui runs has no command 'lst'; closest: list"),
        ((), "mlxterp-tui runs needs one of: list, show"),
    ],
)
def test_a_bad_word_is_refused_in_one_line(refused, words, said):
    assert refused("runs", *words).startswith(said)


def test_a_run_without_a_result_can_not_be_replayed_or_compared(refused, runs):
    run, other = failed("no memory"), kept()
    assert refused("runs", "replay", run) == f"run {run} failed and has no result: no memory"
    assert (
        refused("runs", "compare", other, run) == f"run {run} failed and has no result: no memory"
    )


def test_a_missing_result_is_refused_and_the_page_still_opens(refused, runs, tmp_path):
    run = kept()
    with RunLog.open() as log:
        upkeep.result_path(log.folder, run).unlink()
    assert "is missing" in refused("runs", "show", run, "--out", tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
    assert "rows 1" in runs("show", run)


@pytest.mark.parametrize("out", ["lens.txt", "missing/lens.npz"])
def test_a_place_that_can_not_be_written_is_refused_first(refused, tmp_path, out):
    assert "out is" in refused("runs", "show", 9, "--out", tmp_path / out)
