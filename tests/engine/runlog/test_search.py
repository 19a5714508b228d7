"""A search that is still being typed, and dates as people say them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog.search import moment

import pytest
from logged import done


@pytest.mark.parametrize("typed", ["experiment:l", "experiment:logit", "state:d", "state:done"])
def test_an_experiment_and_a_state_are_found_by_their_beginnings(log, typed):
    run = done(log)
    assert [line.id for line in log.lines(search=typed)] == [run]


@pytest.mark.parametrize("typed", ["experiment:ogit", "state:one", "experiment:logit-lenses"])
def test_and_not_by_anything_else(log, typed):
    done(log)
    assert log.lines(search=typed) == []


@pytest.mark.parametrize(
    ("said", "hours"), [("3h", 3), ("2d", 48), ("1w", 168), ("0h", 0), ("52w", 52 * 168)]
)
def test_so_long_ago(said, hours):
    assert moment(said) == pytest.approx(time.time() - 3600 * hours, abs=5 + 3600)  # summer time
    assert moment(said) == pytest.approx(
        (datetime.now() - timedelta(hours=hours)).timestamp(), abs=5
    )


def test_today_and_yesterday_begin_at_midnight():
    today, yesterday = (datetime.fromtimestamp(moment(said)) for said in ("today", "yesterday"))
    assert (today.hour, today.minute, yesterday.hour) == (0, 0, 0)
    assert (today.date() - yesterday.date()).days == 1


@pytest.mark.parametrize("said", ["2x", "d", "tomorrow", "-1d", "2026-13-01"])
def test_what_is_no_date_is_refused_with_what_is(said):
    with pytest.raises(BadInput, match=r"is no date; .* today, yesterday, or 3h, 2d, 1w ago"):
        moment(said)


def test_a_search_of_too_many_words_is_refused_in_words(log):
    assert log.lines(search="word " * 100) == []
    with pytest.raises(BadInput, match="a search of 101 words; give at most 100"):
        log.lines(search="word " * 101)
