"""The one way into the log: whatever becomes of a run, and whatever ails the log."""

import os
from typing import Literal, get_args, get_origin, get_type_hints

from mlxterp_engine.experiments import (
    EXPERIMENTS,
    BadInput,
    Price,
    RunCancelled,
    RunFailed,
    Started,
    Step,
    parameters_of,
    request_from,
)
from mlxterp_engine.runlog import database
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.runlog.recording import Known, Recorder, is_wanted

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logged import request, result
from stand_in import CARD, lens_step, row

ASKED = request()
STARTED = Started([[1]], [["a"]])


def steps(*parts, end=None):
    """An experiment that yields these, and then returns or raises its end."""
    yield from parts
    if isinstance(end, BaseException):
        raise end
    return end


def run_to_the_end(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def recorded(log, work, said=None, **options):
    return Recorder(lambda: log).follow(ASKED, work, said or Recording(), **options)


def only(log):
    [line] = log.lines()
    return log.record(line.id)


def test_steps_and_result_pass_through_as_they_are(log):
    made = result(ASKED, 1.0)
    work = recorded(log, steps(Step(0, 1, "loading"), STARTED, row(1), end=made))
    assert [next(work) for _ in range(3)] == [Step(0, 1, "loading"), STARTED, row(1)]
    assert run_to_the_end(work) is made
    assert log.result(1) == made


def test_a_run_is_noted_when_it_starts_and_before_it_computes(log):
    computed = []

    def experiment():
        yield Step(0, 1, "loading")
        yield STARTED
        computed.append(only(log).hypothesis)
        return result(ASKED)

    work = recorded(log, experiment(), Recording(hypothesis="it will"))
    next(work)
    assert log.lines() == []
    run_to_the_end(work)
    assert computed == ["it will"]


def test_who_asks_learns_the_number_at_once_and_what_is_known_is_kept(log):
    told = []
    known = Known(Price(1.0, 2.0, 3), CARD)
    work = recorded(log, steps(STARTED, end=result(ASKED)), known=lambda: known, noted=told.append)
    next(work)
    assert told == [1]
    record = only(log)
    assert (record.price, record.model, record.tokens) == (known.price, CARD, [["a"]])
    run_to_the_end(work)
    assert told == [1]


def test_of_a_long_training_that_is_stopped_an_even_share_of_the_steps_is_kept(log):
    work = recorded(log, steps(STARTED, *map(lens_step, range(9999))))
    for _ in range(10_000):
        next(work)
    work.close()
    assert only(log).kept == f"{len(range(0, 9998, 8)) + 1} parts"


def test_a_closed_run_is_cancelled_with_what_came_before(log):
    closed = []

    def experiment():
        try:
            yield STARTED
            yield row(3)
            yield Step(1, 2, "rows")
            yield row(2)
        finally:
            closed.append(True)

    work = recorded(log, experiment())
    for _ in range(3):
        next(work)
    work.close()
    assert closed == [True]
    assert (only(log).state, log.parts(1)) == ("cancelled", [STARTED, row(3)])


@pytest.mark.parametrize("stop", [RunCancelled("stopped"), KeyboardInterrupt()])
def test_whoever_stops_a_run_cancels_it(log, stop):
    with pytest.raises(type(stop)):
        run_to_the_end(recorded(log, steps(STARTED, row(1), end=stop)))
    assert (only(log).state, only(log).kept) == ("cancelled", "1 part")


def test_a_failure_goes_on_and_leaves_its_reason(log):
    with pytest.raises(RunFailed):
        run_to_the_end(recorded(log, steps(STARTED, end=RunFailed("no memory", "details"))))
    assert (only(log).state, only(log).reason) == ("failed", "no memory\ndetails")


def test_a_fault_of_ours_leaves_its_traceback(log):
    with pytest.raises(ZeroDivisionError):
        run_to_the_end(recorded(log, steps(STARTED, end=ZeroDivisionError("no\nnumber"))))
    reason = only(log).reason.splitlines()
    assert reason[0] == "ZeroDivisionError: no number"
    assert "Traceback" in reason[1]


def test_what_was_refused_before_it_began_leaves_nothing(log):
    with pytest.raises(BadInput):
        run_to_the_end(recorded(log, steps(Step(0, 1, ""), end=BadInput("no such model"))))
    assert log.lines() == []


def test_what_is_refused_at_a_closer_look_leaves_nothing_either(log):
    """Ends that coincide are seen when both prompts were run."""
    told = []
    refused = steps(STARTED, Step(0, 1, ""), end=BadInput("the ends coincide"))
    with pytest.raises(BadInput):
        run_to_the_end(recorded(log, refused, noted=told.append))
    assert (log.lines(), told) == ([], [1, None])
    with pytest.raises(BadInput):
        run_to_the_end(recorded(log, steps(STARTED, row(1), end=BadInput("pair 2 of 3: …"))))
    assert only(log).state == "failed"  # something had been computed


@pytest.mark.parametrize("provenance", ["local folder", "local file"])
def test_a_model_that_lies_here_is_kept_so_that_it_is_found_from_elsewhere(log, provenance):
    card = msgspec.structs.replace(CARD, provenance=provenance)
    work = recorded(log, steps(STARTED, end=result(ASKED)), known=lambda: Known(model=card))
    run_to_the_end(work)
    assert only(log).request["model"] == os.path.abspath("stand-in")


# The log's own troubles.


def troubled(monkeypatch, log):
    """A log that refuses to begin."""

    def begin(*_, **__):
        raise BadInput("the research log finds no room")

    monkeypatch.setattr(log, "begin", begin)


def test_a_log_that_can_not_be_opened_stops_no_run_and_says_why_once():
    told, noted = [], []

    def newer():
        raise BadInput("written by a newer one")

    recorder = Recorder(newer, told.append)
    made = result(ASKED)
    for _ in range(2):
        work = recorder.follow(ASKED, steps(STARTED, end=made), noted=noted.append)
        assert run_to_the_end(work) is made
    assert told == ["the run is not recorded: written by a newer one"]
    assert recorder.trouble == told[0]
    assert noted == []


def test_a_trouble_that_passes_and_comes_again_is_said_again(log, monkeypatch):
    told = []
    recorder = Recorder(lambda: log, told.append)

    def one_run():
        run_to_the_end(recorder.follow(ASKED, steps(STARTED, end=result(ASKED))))

    for trouble in (True, False, True):
        with monkeypatch.context() as patch:
            if trouble:
                troubled(patch, log)
            one_run()
        assert bool(recorder.trouble) is trouble
    assert len(told) == 2
    assert len(log.lines()) == 1


def test_a_run_that_could_not_be_kept_in_the_end_is_not_told_as_kept(log, monkeypatch):
    noted = []
    work = recorded(log, steps(STARTED, end=result(ASKED)), noted=noted.append)
    next(work)

    def finish(*_):
        raise BadInput("no room")

    monkeypatch.setattr(log, "finish", finish)
    assert run_to_the_end(work)
    assert noted == [1, None]


def test_what_had_to_be_mended_is_told(folder):
    told = []
    with RunLog.open(folder) as log:
        run_to_the_end(recorded(log, steps(STARTED, end=result(ASKED))))
    (folder / "runs.db").write_bytes(b"?" * 5000)
    recorder = Recorder(lambda: RunLog.open(folder), told.append)
    run_to_the_end(recorder.follow(ASKED, steps(STARTED, end=result(ASKED))))
    assert len(told) == 1
    assert "put aside" in told[0]
    assert recorder.trouble == ""


def test_a_log_whose_files_were_taken_away_is_opened_anew(folder):
    recorder = Recorder(lambda: RunLog.open(folder))
    run_to_the_end(recorder.follow(ASKED, steps(STARTED, end=result(ASKED))))
    for ending in ("", "-wal", "-shm"):
        (folder / f"runs.db{ending}").unlink(missing_ok=True)
    run_to_the_end(recorder.follow(ASKED, steps(STARTED, end=result(ASKED))))
    with RunLog.open(folder) as log:
        assert [line.id for line in log.lines()] == [2, 1]


def test_a_locked_log_costs_its_patience_and_not_the_run(log, monkeypatch):
    log._connection.execute("PRAGMA busy_timeout = 20")
    with database.transaction(RunLog.open(log.folder)._connection):
        made = result(ASKED)
        assert run_to_the_end(recorded(log, steps(STARTED, end=made))) is made
    assert log.lines() == []


@pytest.mark.parametrize(("value", "wanted"), [(None, True), ("", True), ("0", True), ("1", False)])
def test_the_environment_can_turn_recording_off(monkeypatch, value, wanted):
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)
    if value is not None:
        monkeypatch.setenv("MLXTERP_NO_LOG", value)
    assert is_wanted() is wanted


# Every experiment's request comes back from the log.


def values_of(kind):
    """Values of a field's type, as far as requests use them."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is list:
        return st.lists(values_of(get_args(kind)[0]), min_size=1, max_size=3)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(0, 60)
    if kind is float:
        return st.floats(0, 2)
    if kind is str:
        return st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
    options = [option for option in get_args(kind) if option is not type(None)]
    assert options, f"teach this test to make a {kind}"
    return st.none() | values_of(options[0])


# Fields that none is required of, but all where one is given.
TOGETHER = {"clean": "The cat", "corrupt": "The dog", "answer": " a", "wrong": " b"}
TOGETHER |= {"prompt": "The cat", "subject": "cat"}
PLAIN = {str: "x", list[str]: ["embed"], list[int]: [0, 1]}


def some_request(kind, draw):
    """A request of this experiment that its own checks let pass."""
    hints, fields = get_type_hints(kind), msgspec.structs.fields(kind)
    drawn = {
        field.name: draw(values_of(hints[field.name]))
        for field in fields
        if field.required or draw(st.booleans())
    }
    try:
        return kind(**drawn)
    except BadInput:
        plain = {field.name: hints[field.name] for field in fields if field.required}
        plain = {name: PLAIN[hint] for name, hint in plain.items()}
        return kind(**plain | {name: TOGETHER[name] for name in TOGETHER if name in hints})


@pytest.mark.parametrize("name", EXPERIMENTS)
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_experiment_s_request_comes_back_as_it_was_asked(log, name, data):
    asked = some_request(EXPERIMENTS[name], data.draw)
    parameters = dict(log.record(log.begin(asked)).request)
    assert parameters == parameters_of(asked)
    assert request_from(parameters.pop("name"), parameters) == asked
