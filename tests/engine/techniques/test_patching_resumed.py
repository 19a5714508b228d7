"""A sweep that was stopped goes on where it was, to the same bits."""

import json
import os
import subprocess
import sys
import time

from mlxterp_engine.experiments import ActivationPatching, PatchCells, PatchEnds, Step
from mlxterp_engine.runlog import unfinished
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.running import run
from mlxterp_engine.techniques import keeping, patching, patching_kept, patching_sweep

import pytest

CLEAN, CORRUPT = "The cat sat on the mat", "The dog sat on the mat"
PAIRS = [
    {"clean": "The cat sat", "corrupt": "The bat sat", "answer": "s", "wrong": "e"},
    {"clean": "The cat ran", "corrupt": "The bat ran", "answer": "s", "wrong": "e"},
    {"clean": "The mat sat", "corrupt": "The cat sat", "answer": "h", "wrong": "o"},
]


def request(**fields):
    given = {"clean": CLEAN, "corrupt": CORRUPT, "answer": "s", "wrong": "e", "model": "glass-tiny"}
    return ActivationPatching(**given | {"sites": ["resid_pre,mlp_out,z,k"]} | fields)


class Stopped(Exception):
    """As a cancel comes: between two parts."""


@pytest.fixture
def log(tmp_path):
    with RunLog.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def computed(monkeypatch):
    """How many cells were patched, by the calls."""
    counts = []
    own = patching.Session.effects

    def counting(session, cells):
        counts.append(len(cells))
        return own(session, cells)

    monkeypatch.setattr(patching.Session, "effects", counting)
    return counts


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(patching_sweep, "at_once", lambda *_: 64)


def stopped_after(asked, model, log, count):
    """Run it until so many groups are told; the steps then."""
    steps = []

    def heard(part):
        if isinstance(part, Step) and part.what != "both runs":
            steps.append(part)
            if len(steps) == count:
                raise Stopped

    with pytest.raises(Stopped):
        run(asked, model, heard, log=log)
    return steps


def ends_and_result(asked, model, log):
    parts = []
    found = run(asked, model, parts.append, log=log)
    return next((part for part in parts if isinstance(part, PatchEnds)), None), found, parts


def left(log):
    return sorted((log.folder / "unfinished").glob("*"))


def same_bits(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        assert values.tobytes() == other.arrays[name].tobytes(), name
    checked = ("patch_changes", "patch_full", "resume_equals_full")
    assert all(one.meta.contracts[name] == other.meta.contracts[name] for name in checked)


@pytest.mark.parametrize("count", [1, 2, 7, 10])
def test_a_stopped_sweep_goes_on_to_the_same_bits(tiny, log, computed, count):
    unbroken = run(request(), tiny, log=False)
    whole = sum(computed)
    told = stopped_after(request(), tiny, log, count)
    assert len(left(log)) == 1
    computed.clear()
    ends, found, _ = ends_and_result(request(), tiny, log)
    same_bits(found, unbroken)
    assert ends.resumed == told[-1].done == found.meta.figures["cells_from_before"]
    assert sum(computed) < whole
    assert found.meta.headline.endswith(
        f"; {ends.resumed:.0f} of {told[-1].total:.0f} cells from a stopped run"
    )
    assert left(log) == []  # nothing to go on with any more
    assert ends_and_result(request(), tiny, log)[0].resumed == 0


def test_it_may_be_stopped_again_and_again(tiny, log):
    unbroken = run(request(), tiny, log=False)
    for _ in range(3):
        stopped_after(request(), tiny, log, 3)
    ends, found, parts = ends_and_result(request(), tiny, log)
    same_bits(found, unbroken)
    assert ends.resumed > 0
    cells = sum(p.values.shape[0] * p.values.shape[1] for p in parts if isinstance(p, PatchCells))
    assert cells == [part for part in parts if isinstance(part, Step)][-1].total  # each once


def test_groups_stay_what_they_were_however_fast_the_machine_now_is(tiny, log, monkeypatch):
    unbroken = run(request(), tiny, log=False)
    stopped_after(request(), tiny, log, 4)
    monkeypatch.setattr(patching_sweep, "at_once", lambda *_: 1000)
    same_bits(ends_and_result(request(), tiny, log)[1], unbroken)


@pytest.mark.parametrize(
    "changed",
    [
        {"metric": "kl"},
        {"direction": "noise"},
        {"wrong": "i"},
        {"sites": ["resid_pre,mlp_out,z"]},
        {"corrupt": "The bat sat on the mat"},
        {"by_position": True},
        {"resume": False},
    ],
)
def test_another_request_goes_on_with_nothing(tiny, log, changed):
    stopped_after(request(), tiny, log, 3)
    assert ends_and_result(request(**changed), tiny, log)[0].resumed == 0


def test_other_weights_go_on_with_nothing(tiny, log, monkeypatch):
    import msgspec

    stopped_after(request(), tiny, log, 3)
    other = msgspec.structs.replace(tiny.card, sha256="0" * 64)
    monkeypatch.setattr(tiny, "card", other)
    assert ends_and_result(request(), tiny, log)[0].resumed == 0


def test_without_a_log_nothing_is_left_and_nothing_is_taken(tiny, log, monkeypatch, tmp_path):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)
    stopped_after(request(), tiny, False, 3)
    assert not (tmp_path / "home").exists()
    stopped_after(request(), tiny, True, 3)
    assert ends_and_result(request(), tiny, False)[0].resumed == 0
    monkeypatch.setenv("MLXTERP_NO_LOG", "1")
    assert ends_and_result(request(), tiny, True)[0].resumed == 0


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"\x80"])
def test_what_can_not_be_read_is_computed_again(tiny, log, data):
    stopped_after(request(), tiny, log, 3)
    (file,) = left(log)
    file.write_bytes(data)
    ends, found, _ = ends_and_result(request(), tiny, log)
    assert ends.resumed == 0
    same_bits(found, run(request(), tiny, log=False))


def test_a_full_disk_costs_the_going_on_and_nothing_else(tiny, log, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unfinished, "write_whole", full)
    stopped_after(request(), tiny, log, 3)
    assert left(log) == []
    same_bits(ends_and_result(request(), tiny, log)[1], run(request(), tiny, log=False))


def test_what_nobody_came_back_for_is_removed_after_a_month(tiny, log):
    stopped_after(request(), tiny, log, 3)
    (file,) = left(log)
    month_ago = time.time() - unfinished.FORGET_AFTER - 60
    os.utime(file, (month_ago, month_ago))
    assert ends_and_result(request(), tiny, log)[0].resumed == 0


@pytest.mark.parametrize("count", [2, 8, 11])
def test_a_set_goes_on_by_pair_and_within_one(tiny, log, computed, tmp_path, count):
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, PAIRS)))
    asked = ActivationPatching(model="glass-tiny", pairs=str(file), sites=["resid_pre", "k"])
    unbroken = run(asked, tiny, log=False)
    stopped_after(asked, tiny, log, count)
    computed.clear()
    _, found, _ = ends_and_result(asked, tiny, log)
    same_bits(found, unbroken)
    assert found.meta.figures["cells_from_before"] > 0
    assert "cells from a stopped run" in found.meta.headline
    assert left(log) == []


KILLED = """
import os, sys
from mlxterp_engine import InterpretableModel
from mlxterp_engine.experiments import PatchCells, Step
from mlxterp_engine.running import run
from mlxterp_engine.techniques import keeping, patching_sweep
from engine.techniques.test_patching_resumed import request
keeping.EVERY = 0.0
patching_sweep.at_once = lambda *_: 64
told = []
def heard(part):
    told.append(part)
    if sum(isinstance(part, PatchCells) for part in told) == 12:
        os._exit(9)
run(request(), InterpretableModel("glass-tiny"), heard)
"""


def test_a_killed_process_loses_seconds(tiny, tmp_path, monkeypatch):
    home = {"MLXTERP_HOME": str(tmp_path / "home"), "MLXTERP_NO_LOG": "", "PYTHONPATH": "tests"}
    ended = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **home}, check=False)
    assert ended.returncode == 9
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    with RunLog.open() as log:
        ends, found, _ = ends_and_result(request(), tiny, log)
    assert ends.resumed > 0
    same_bits(found, run(request(), tiny, log=False))


def test_while_it_runs_it_is_written_down_every_few_seconds(monkeypatch, tmp_path):
    now, written = [100.0], []
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    store = unfinished.Unfinished(lambda: tmp_path / "unfinished")
    monkeypatch.setattr(store, "write", lambda name, data: written.append(now[0]))
    keeper = patching_kept.SweepKeeper(patching_kept.Kept, store, "a")
    some = patching_kept.Kept(
        method="full", ends=(0, 1), at_once=1, groups=0, effects=b"", cells=0, live=0, unmoved=0
    )
    for second in range(10):
        now[0] = 100.0 + second
        keeper.note(lambda: some)
    keeper.note(lambda: some, at_last=True)
    assert written == [103, 106, 109, 109]
