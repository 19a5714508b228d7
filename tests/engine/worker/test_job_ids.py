from mlxterp_engine.worker.job_ids import JobIds, is_job_id, number_of, text_of

import pytest


def test_ids_are_the_hundredths_of_a_second_in_base_32():
    assert JobIds(clock=lambda: 0.33).next() == "00000011"


def test_ids_sort_as_they_were_given_even_within_one_tick_of_the_clock():
    ids = JobIds(clock=lambda: 1_800_000_000.0)
    given = [ids.next() for _ in range(100)]
    assert given == sorted(given)
    assert len(set(given)) == 100


def test_ids_go_on_after_the_last_one_when_the_clock_was_set_back():
    assert JobIds(after="5767djb4", clock=lambda: 0.0).next() == "5767djb5"


@pytest.mark.parametrize("number", [0, 1, 31, 32, 180_000_000_000])
def test_text_and_number_are_two_writings_of_one_id(number):
    assert number_of(text_of(number)) == number


@pytest.mark.parametrize("text", ["", "5767djb", "5767djb44", "../../ab", "5767DJB4", "5767dlb4"])
def test_what_could_not_have_been_given_is_no_id(text):
    assert not is_job_id(text)
