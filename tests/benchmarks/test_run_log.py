"""What the research log costs: a run with and without it, opening a result, 10 000 runs."""

import random
import statistics
import time

from mlxterp_engine import LogitLens, run
from mlxterp_engine.experiments import Result
from mlxterp_engine.runlog import result_file
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording

import msgspec
import pytest
from benchmarks.pairs import alternate, ratio

RUNS = 10_000
LENS = LogitLens(prompt="one two three " * 21, top_k=10)
SEARCHES = ("", "france", "japan odd", "kl_middle>5", "tag:demo kl_middle>9", "nowhere")


def milliseconds(act, rounds=15):
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        taken.append(1e3 * (time.perf_counter() - start))
    return f"{statistics.median(taken):.1f} ms, at most {max(taken):.1f}"


def test_a_lens_that_is_recorded_and_one_that_is_not(smol, tmp_path):
    with RunLog.open(tmp_path / "runs") as log:
        seconds = alternate(
            12,
            recorded=lambda: run(LENS, smol, log=log),
            unrecorded=lambda: run(LENS, smol, log=False),
        )
        lens = run(LENS, smol, log=log)
        shape = "×".join(map(str, lens.arrays["top_ids"].shape))
        print(f"\na lens of {shape} and the log:\n  " + ratio(seconds, "recorded", "unrecorded"))
        begun = [log.begin(LENS) for _ in range(15)]
        print("  begin  ", milliseconds(lambda: log.begin(LENS)))
        print("  finish ", milliseconds(lambda: log.finish(begun.pop(), lens.result)))
        print("  open   ", milliseconds(lambda: log.result(lens.id)))


@pytest.fixture
def many(tmp_path, smol, monkeypatch):
    """A log with very many runs, through the log's own code but for the files and the syncs."""
    meta = run(LENS, smol, log=False).meta
    monkeypatch.setattr(result_file, "_put", lambda path, pieces: None)
    dice = random.Random(0)
    with RunLog.open(tmp_path / "runs") as log:
        log._connection.execute("PRAGMA synchronous = OFF")
        for number in range(RUNS):
            country = dice.choice(["france", "italy", "spain", "japan"])
            asked = LogitLens(
                prompt=f"The capital of {country} is {number}" + " or" * (number % 60)
            )
            said = Recording(tags=("demo",) if number % 7 else (), note="odd" if number % 2 else "")
            figures = {"kl_middle": 10 * dice.random(), "top_prob": dice.random()}
            made = msgspec.structs.replace(meta, figures=figures)
            log.finish(log.begin(asked, said), Result(meta=made, arrays={}))
        yield log


def test_ten_thousand_runs_are_listed_and_filtered(many):
    print(f"\n{RUNS} runs:")
    for search in SEARCHES:
        found = len(many.lines(search=search))
        print(
            f"  {search or 'all':<24} {found:>6}  ",
            milliseconds(lambda s=search: many.lines(search=s)),
        )
    print("  the newest 200                  ", milliseconds(lambda: many.lines(limit=200)))
