"""The log as its users meet it: what is written, listed, found, annotated and deleted."""

import math
import os
import stat
import time

from mlxterp_engine.experiments import BadInput, Contract, Price, Started, Step
from mlxterp_engine.runlog import upkeep
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording

import pytest
from logged import done, failing, request, result
from stand_in import CARD, row


def ids(lines):
    return [line.id for line in lines]


# A run's life.


def test_what_was_expected_is_on_disk_before_anything_is_computed(log, folder):
    asked = Recording(hypothesis="Paris is top", note="first", tags=("lens", "to do"))
    run = log.begin(request(), asked, Price(2.0, 0.5, 1024))
    with RunLog.open(folder) as another:
        record = another.record(run)
    assert (record.state, record.hypothesis, record.note) == ("running", "Paris is top", "first")
    assert record.tags == ("lens", "to do")
    assert record.price == Price(2.0, 0.5, 1024)
    assert record.request["prompt"] == "The capital of France is"
    assert record.folder == os.getcwd()


def test_a_finished_run_is_known_whole(log):
    asked = request(top_k=3, seed=7)
    run = log.begin(asked)
    meta = {
        "headline": "' Paris' p 0.60",
        "figures": {"kl_middle": 3.25},
        "contracts": {"trace_identity": Contract(0.0, 0.0, True)},
        "versions": {"mlx": "0.32.4"},
        "load_s": 1.5,
        "elapsed_s": 0.25,
    }
    log.finish(run, result(asked, 1.0, 2.0, **meta))
    record = log.record(run)
    assert record.state == "done"
    assert (record.headline, record.figures) == ("' Paris' p 0.60", {"kl_middle": 3.25})
    assert (record.contracts, record.versions) == (meta["contracts"], {"mlx": "0.32.4"})
    assert (record.load_s, record.seconds, record.failed_cells) == (1.5, 0.25, 0)
    assert (record.model, record.tokens) == (CARD, [["a"]])
    assert (record.request["top_k"], record.request["seed"]) == (3, 7)
    assert record.created <= record.ended
    assert record.result_bytes == upkeep.result_path(log.folder, run).stat().st_size


def test_a_result_comes_back_bit_for_bit_with_its_nans(log):
    asked = request()
    kept = result(asked, 1.0, float("nan"), -0.0, float("inf"))
    run = log.begin(asked)
    log.finish(run, kept)
    again = log.result(run)
    assert again.arrays == kept.arrays
    assert (again.meta, again.strings) == (kept.meta, kept.strings)


def test_a_contract_that_is_nan_is_nan_again(log):
    run = done(log, contracts={"lens_last_row": Contract.of(float("nan"), 1.0)})
    assert math.isnan(log.record(run).contracts["lens_last_row"].error)
    assert math.isnan(log.result(run).meta.contracts["lens_last_row"].error)


def test_a_cancelled_run_keeps_what_it_had_come_to(log):
    run = log.begin(request())
    parts = [Started([[1]], [["a"]]), row(3), row(2)]
    log.cancelled(run, parts)
    assert (log.record(run).state, log.record(run).kept) == ("cancelled", "2 parts")
    assert log.parts(run) == parts
    with pytest.raises(BadInput, match=f"run {run} was cancelled and has no result; kept: 2 parts"):
        log.result(run)


def test_a_failed_run_keeps_its_reason_and_the_details(log):
    run = log.begin(request())
    log.failed(run, "the disk is gone", "line 1\nline 2")
    assert log.record(run).reason == "the disk is gone\nline 1\nline 2"
    with pytest.raises(BadInput, match=f"run {run} failed and has no result: the disk is gone$"):
        log.result(run)


def test_a_run_that_has_ended_does_not_end_again(log):
    run = done(log)
    log.failed(run, "late")
    assert (log.record(run).state, log.record(run).reason) == ("done", "")


def test_a_run_that_still_goes_on_has_no_result(log):
    run = log.begin(request())
    with pytest.raises(BadInput, match=f"run {run} has not ended yet"):
        log.result(run)


def test_the_files_are_closed_to_everybody_else(log):
    run = done(log)
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(upkeep.result_path(log.folder, run).stat().st_mode) == 0o600


def test_the_log_lies_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    with RunLog.open() as opened:
        assert opened.folder == tmp_path / "data" / "runs"


# Listing and finding.


def test_the_newest_run_comes_first_and_a_limit_cuts(log):
    runs = [done(log) for _ in range(3)]
    assert ids(log.lines()) == runs[::-1]
    assert ids(log.lines(limit=2)) == runs[:0:-1]
    assert log.lines(limit=0) == []


def test_a_line_says_what_the_list_shows(log):
    run = done(log, "p" * 300, headline="found", tags=("a",), note="n", contracts=failing(x=False))
    [line] = log.lines()
    assert (line.id, line.experiment, line.model, line.state) == (
        run,
        "logit-lens",
        "stand-in",
        "done",
    )
    assert (line.headline, line.tags, line.note, line.prompt) == ("found", ("a",), "n", "p" * 200)
    assert line.broken


@pytest.mark.parametrize(
    ("meta", "broken"),
    [
        ({"contracts": failing(x=True)}, False),
        ({"contracts": failing(x=True, y=False)}, True),
        ({"failed_cells": 1}, True),
    ],
)
def test_a_failed_contract_or_cell_marks_the_line(log, meta, broken):
    done(log, **meta)
    assert log.lines()[0].broken is broken


@pytest.mark.parametrize(
    "words",
    [
        "france",
        "FRANCE capital",
        "stand-in",
        "logit-lens",
        "paris",
        "grüße",
        "surprise",
        "held",
        "b",
    ],
)
def test_words_are_found_in_everything_that_was_said_and_in_any_case(log, words):
    run = done(log, headline="' Paris'", tags=("b",), note="Surprise", hypothesis="GRÜSSE GRÜßE")
    log.annotate(run, outcome="it held")
    assert ids(log.lines(search=words)) == [run]
    assert log.lines(search=f"{words} nowhere") == []


def test_what_came_of_a_run_is_found_too(log):
    run = done(log, headline="' Paris' from block 20 on")
    failed = log.begin(request())
    log.failed(failed, "no memory")
    assert ids(log.lines(search="block 20")) == [run]
    assert ids(log.lines(search="memory")) == [failed]


@pytest.mark.parametrize("term", ["100%", "a_b", "'; DROP TABLE runs; --", "x*", '"', "[a]"])
def test_signs_that_a_database_might_take_for_its_own_are_only_signs(log, term):
    run = done(log, f"before {term} after")
    done(log, "before 100 axb after")
    assert ids(log.lines(search=term)) == [run]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("kl_middle>3", [2, 3]),
        ("kl_middle>=2.5", [1, 2, 3]),
        ("kl_middle<3 prompt", [1]),
        ("kl_middle=5e0", [3]),
        ("kl_middle!=5", [1, 2]),
        ("kl_middle>-1 rank<1", [2]),
        ("unheard_of>0", []),
    ],
)
def test_figures_are_compared_as_numbers(log, search, found):
    done(log, "the prompt", figures={"kl_middle": 2.5, "rank": float("nan")})
    done(log, "the prompt", figures={"kl_middle": 4.0, "rank": 0.0})
    done(log, "the prompt", figures={"kl_middle": 5.0, "rank": 10.0})
    assert sorted(ids(log.lines(search=search))) == found


def test_a_tag_is_found_whole(log):
    run = done(log, tags=("to do", "b"))
    done(log, tags=("bb",))
    assert ids(log.lines(tag="b")) == ids(log.lines(search="tag:b")) == [run]
    assert ids(log.lines(tag="to do")) == [run]
    assert log.lines(tag="to") == []


def test_terms_with_a_name_look_in_one_place(log):
    run = done(log, "a prompt that says failed")
    failed = log.begin(request())
    log.failed(failed, "why")
    assert ids(log.lines(search="state:failed")) == [failed]
    assert ids(log.lines(search="state:done model:STAND experiment:logit-lens")) == [run]
    assert ids(log.lines(experiment="trace")) == []


def test_dates_cut_at_both_ends(log):
    run = done(log)
    now = log.record(run).created
    assert ids(log.lines(since=now, until=now + 1)) == [run]
    assert log.lines(since=now + 1) == log.lines(until=now) == []
    assert ids(log.lines(search="since:2000-01-01 until:2999-01-01T12:30")) == [run]
    with pytest.raises(BadInput, match="'soon' is no date; write it as 2"):
        log.lines(search="since:soon")


def test_children_stand_under_their_parent(log):
    parent = done(log)
    first, second = done(log, parent=parent), done(log, parent=parent)
    done(log, parent=second)
    assert ids(log.children(parent)) == [second, first]
    assert log.record(first).parent == parent


# Saying something, deleting, restoring.


def test_what_is_said_later_replaces_what_was_said_before(log):
    run = done(log, note="old", tags=("a",))
    log.annotate(run, note="new")
    log.annotate(run, outcome="as expected", tags=["b", "c", "b"])
    record = log.record(run)
    assert (record.note, record.outcome, record.tags) == ("new", "as expected", ("b", "c"))
    assert ids(log.lines(search="new expected")) == [run]
    assert log.lines(search="old") == []


@pytest.mark.parametrize("tag", ["", "  ", " a", "a\nb", "x" * 61])
def test_what_can_not_be_a_tag_is_refused(log, tag):
    run = done(log, tags=("kept",))
    with pytest.raises(BadInput, match="tag"):
        log.annotate(run, tags=[tag])
    with pytest.raises(BadInput, match="tag"):
        Recording(tags=(tag,))
    assert log.record(run).tags == ("kept",)


def test_a_deleted_run_is_hidden_and_comes_back(log):
    run, other = done(log), done(log)
    log.delete(run)
    assert ids(log.lines()) == [other]
    assert ids(log.lines(deleted=True)) == [run]
    assert log.record(run).deleted
    log.restore(run)
    assert ids(log.lines()) == [other, run]
    assert log.result(run).arrays


def test_what_was_deleted_a_month_ago_is_gone_and_its_number_is_not_used_again(log, monkeypatch):
    run, kept = done(log), done(log)
    log.delete(run)
    log.delete(kept)
    path = upkeep.result_path(log.folder, run)
    a_month_later = time.time() + upkeep.PURGE_AFTER + 60
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: a_month_later)
        log.restore(kept)
        with RunLog.open(log.folder) as later:
            assert ids(later.lines()) == [kept]
    assert not path.exists()
    with pytest.raises(BadInput, match="there is no run"):
        log.record(run)
    assert done(log) > kept


@pytest.mark.parametrize("run", [0, -1, 99, 10**30])
def test_an_unknown_run_is_refused_everywhere_with_where_to_look(log, run):
    asked = [log.record, log.result, log.parts, log.delete, log.restore]
    for ask in [*asked, lambda run: log.annotate(run, note="x")]:
        with pytest.raises(BadInput, match=f"there is no run {run}; list them: .* runs list"):
            ask(run)


def test_progress_is_no_part(log):
    assert upkeep.kept_in_words([Started([], []), Step(1, 2, "")]) == "nothing but its tokens"
    assert upkeep.kept_in_words([row(1)]) == "1 part"


# Results that are not what they were.


def test_a_missing_result_is_named_and_the_record_stays(log):
    run = done(log)
    path = upkeep.result_path(log.folder, run)
    path.unlink()
    with pytest.raises(BadInput, match=rf"result of run {run} is missing: .*{path.name}.* replay"):
        log.result(run)
    assert log.record(run).state == "done"


def test_a_result_that_was_changed_is_refused(log):
    run, other = done(log), done(log, "other", headline="x")
    path = upkeep.result_path(log.folder, run)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"result of run {run} is damaged"):
        log.result(run)
    asked = request()
    third = log.begin(asked)
    log.finish(third, result(asked, 5.0))
    path.write_bytes(upkeep.result_path(log.folder, third).read_bytes())
    with pytest.raises(BadInput, match=f"result of run {run} is not the one"):
        log.result(run)
    assert log.result(other)


def test_the_version_tells_when_somebody_else_wrote(log, folder):
    done(log)
    before = log.version()
    done(log)
    log.lines()
    assert log.version() == before  # our own doing is known
    with RunLog.open(folder) as another:
        assert log.version() == before
        done(another)
    assert log.version() != before
