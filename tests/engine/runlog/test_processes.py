"""Several processes at once, and processes that are killed: what was told as kept is kept."""

import fcntl
import os
import random
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog import database, entries, presence
from mlxterp_engine.runlog.log import RunLog

import pytest
from logged import done, python, request, result

PATIENCE = 60

# Keeps one run in each of these folders, each time in a process of its own that dies at the step
# whose number is given with it (0: never), and prints what it knows to be on disk.
ONE_RUN = """
import os, signal, sqlite3, sys
from pathlib import Path
from logged import request, result
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording

last, steps = 0, 0

def step(*_):
    global steps
    steps += 1
    if steps == last:
        os.kill(os.getpid(), signal.SIGKILL)

def stepping(act):
    def stepped(*words, **named):
        step()
        return act(*words, **named)
    return stepped

os.fsync, os.replace, os.rename = map(stepping, (os.fsync, os.replace, os.rename))
connect = sqlite3.connect

def traced(*words, **named):
    connection = connect(*words, **named)
    connection.set_trace_callback(step)
    return connection

sqlite3.connect = traced

def one_run(folder):
    log = RunLog.open(Path(folder))
    asked = request("killed")
    run = log.begin(asked, Recording(hypothesis="it lives"))
    print(folder, "begun", run, flush=True)
    log.finish(run, result(asked, 4.0))
    print(folder, "kept", run, flush=True)
    print(folder, "steps", steps, flush=True)

for folder, number in zip(sys.argv[1::2], sys.argv[2::2]):
    last = int(number)
    if (child := os.fork()) == 0:
        one_run(folder)
        os._exit(0)
    os.waitpid(child, 0)
"""

MANY_RUNS = """
import sys
from pathlib import Path
from logged import done
from mlxterp_engine.runlog.log import RunLog

log = RunLog.open(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    print(done(log, f"{sys.argv[3]} {number}"), flush=True)
"""


def killed_at(steps):
    """What each run said before it was killed, by its folder; steps: {folder: number}."""
    words = [word for pair in steps.items() for word in pair]
    process = python(ONE_RUN, *words)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    said = {folder: {} for folder in steps}
    for folder, word, number in map(str.split, out.splitlines()):
        said[Path(folder)][word] = int(number)
    return said


def check_what_is_left(folder, said):
    """What was told is there; the rest has ended one way or the other; the log works on."""
    with RunLog.open(folder) as log:
        lines = [line for line in log.lines() if line.prompt == "killed"]
        if "begun" in said:
            [line] = lines
            record = log.record(line.id)
            assert (line.id, record.hypothesis) == (said["begun"], "it lives")
        if "kept" in said:
            assert lines[0].state == "done"
        for line in lines:
            if line.state == "done":
                assert log.result(line.id) == result(request("killed"), 4.0)
            else:
                assert (line.state, log.record(line.id).reason) == ("failed", entries.ENGINE_DIED)
        assert log.result(done(log))
    return [line.state for line in lines]


def test_a_kill_at_any_step_of_a_run_loses_nothing_that_was_told(tmp_path):
    """Before each SQL statement, each sync and each renaming, from the first opening on."""
    [said] = killed_at({tmp_path / "whole": 0}).values()
    assert said["steps"] > 15
    numbers = {tmp_path / str(step): step for step in range(1, said["steps"] + 1)}
    ends = [check_what_is_left(folder, told) for folder, told in killed_at(numbers).items()]
    assert [] in ends  # before it began
    assert ["failed"] in ends  # while it ran
    assert ["done"] in ends[:-1]  # its file was there, its row not yet: made good on opening


def test_what_was_there_before_outlives_a_kill_at_any_step(folder):
    with RunLog.open(folder) as log:
        kept = [done(log, str(number)) for number in range(3)]
    for step in random.Random(0).sample(range(1, 30), 6):
        killed_at({folder: step})
        with RunLog.open(folder) as log:
            assert all(log.result(run) for run in kept)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_a_process_killed_among_many_runs_loses_none_that_it_told(folder, count):
    process = python(MANY_RUNS, folder, 100_000, "many")
    kept = [int(process.stdout.readline()) for _ in range(count)]
    process.kill()
    kept += [int(line) for line in process.stdout.read().split()]  # with what was read ahead
    process.communicate(timeout=PATIENCE)
    with RunLog.open(folder) as log:
        states = {line.id: line.state for line in log.lines()}
        assert {states[run] for run in kept} == {"done"}
        assert len(states) <= len(kept) + 1
        assert "running" not in states.values()
        assert all(log.result(run) for run in kept)


def test_two_processes_that_write_at_once_lose_nothing_and_share_no_number(folder):
    processes = [python(MANY_RUNS, folder, 30, name) for name in ("one", "two")]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    kept = [int(line) for out, _ in outputs for line in out.split()]
    assert len(set(kept)) == 60
    with RunLog.open(folder) as log:
        prompts = {line.prompt: log.result(line.id) for line in log.lines()}
    assert set(prompts) == {f"{name} {n}" for name in ("one", "two") for n in range(30)}


def test_two_processes_that_find_a_broken_database_put_one_aside(folder):
    folder.mkdir()
    (folder / "runs.db").write_bytes(b"broken" * 1000)
    processes = [python(MANY_RUNS, folder, 3, name) for name in ("one", "two")]
    for process in processes:
        assert process.wait(PATIENCE) == 0
        process.communicate()
    assert len(list(folder.glob("runs.db.unreadable-*[0-9]"))) == 1
    with RunLog.open(folder) as log:
        assert len(log.lines()) == 6


BEGINS = """
import sys
from pathlib import Path
from logged import request
from mlxterp_engine.runlog.log import RunLog

print(RunLog.open(Path(sys.argv[1])).begin(request()), flush=True)
sys.stdin.read()
"""


def test_a_run_goes_on_as_long_as_its_process_lives_and_no_longer(folder):
    with RunLog.open(folder) as log:
        process = python(BEGINS, folder)
        run = int(process.stdout.readline())
        assert log.record(run).state == "running"
        with RunLog.open(folder) as another:
            assert another.record(run).state == "running"
        process.kill()
        process.communicate(timeout=PATIENCE)
        assert (log.record(run).state, log.record(run).reason) == ("failed", entries.ENGINE_DIED)


def test_the_signs_of_life_of_dead_processes_are_swept_away(folder):
    process = python(BEGINS, folder)
    process.stdout.readline()
    with RunLog.open(folder) as log:
        assert len(list((folder / presence.ALIVE).iterdir())) == 1
        ours = log.begin(request())
        process.kill()
        process.communicate(timeout=PATIENCE)
        with RunLog.open(folder):
            [left] = (folder / presence.ALIVE).iterdir()
        assert left.name.startswith(f"{os.getpid()}-")
        assert log.record(ours).state == "running"


def test_a_sign_of_life_that_was_swept_away_before_it_was_locked_is_made_anew(folder, monkeypatch):
    folder.mkdir()
    lock, swept = fcntl.flock, []

    def sweep_first(handle, how):
        if not swept:
            [path] = (folder / presence.ALIVE).iterdir()
            path.unlink()
            swept.append(path.stem)
        lock(handle, how)

    with monkeypatch.context() as patch:
        patch.setattr(presence.fcntl, "flock", sweep_first)
        name = presence.presence(folder)
    assert name not in swept
    assert presence.is_alive(folder, name)
    assert presence.presence(folder) == name


def test_one_process_opens_a_log_at_a_time(folder, monkeypatch):
    with RunLog.open(folder) as log, (folder / "open.lock").open() as turn:
        monkeypatch.setattr(database, "PATIENCE", 0.0)
        fcntl.flock(turn, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another program has been opening"):
            RunLog.open(folder)
        assert done(log)  # who has opened it is not held up
        fcntl.flock(turn, fcntl.LOCK_UN)
        RunLog.open(folder).close()


def test_a_run_given_up_for_dead_that_ends_after_all_is_done(log, monkeypatch):
    """Where locks are not seen between machines, a living writer looks like a dead one."""
    asked = request()
    run = log.begin(asked)
    with monkeypatch.context() as patch:
        patch.setattr(presence, "is_alive", lambda folder, name: False)
        assert log.record(run).state == "failed"
    log.finish(run, result(asked, 2.0))
    assert (log.record(run).state, log.record(run).reason) == ("done", "")
    assert log.result(run) == result(asked, 2.0)


FORKS = """
import os, sys
from pathlib import Path
from logged import request, result
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.recording import Recorder

recorder = Recorder(lambda: RunLog.open(Path(sys.argv[1])), tell=print)

def one_run(prompt):
    def steps():
        yield from ()
        return result(request(prompt))
    for _ in recorder.follow(request(prompt), steps()):
        pass

one_run("parent")
if (child := os.fork()) == 0:
    one_run("child")
    os._exit(0)
os.waitpid(child, 0)
one_run("parent again")
print(recorder.trouble, end="")
"""


def test_a_process_that_forks_goes_on_recording_on_both_sides(folder):
    out, err = python(FORKS, folder).communicate(timeout=PATIENCE)
    assert (out, err) == ("", "")
    with RunLog.open(folder) as log:
        assert [line.prompt for line in log.lines()] == ["parent again", "child", "parent"]
        assert {line.state for line in log.lines()} == {"done"}
