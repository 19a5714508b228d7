import threading
from itertools import chain

from mlxterp_engine.experiments import BadInput, LogitLens, Price, Step
from mlxterp_engine.worker import jobs
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import (
    Cancelled,
    Failed,
    Finished,
    TooLarge,
    decode_from_engine,
)
from mlxterp_engine.worker.tasks import ModelsListed

import msgspec
import pytest
from stand_in import lens_step, row

TASK = LogitLens(prompt="The capital of France is", model="glass-tiny")
END = Finished(ModelsListed([]))


def frames_of(job):
    """Every event that the job keeps."""
    found, seq = [], 0
    while (at := job.at_or_after(seq)) is not None:
        found.append(at[0].frame)
        seq = at[0].seq + 1
    return found


def events_of(job):
    """The same, as a client reads them."""
    return [decode_from_engine(message[4:]) for message in frames_of(job)]


def bodies(job):
    return [event.body for event in events_of(job)]


def test_jobs_are_taken_in_the_order_in_which_they_came():
    queue = JobQueue()
    first, second = queue.submit(TASK), queue.submit(TASK)
    assert [queue.take(), queue.take()] == [first, second]


def test_a_job_is_described_by_its_task():
    job = JobQueue().submit(TASK, price=Price(1.0, 0.1, 5))
    info = job.info()
    assert (info.experiment, info.model, info.prompt, info.state, info.price) == (
        "logit-lens",
        "glass-tiny",
        "The capital of France is",
        "queued",
        Price(1.0, 0.1, 5),
    )


def test_taking_waits_for_a_job():
    queue, taken = JobQueue(), []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    job = queue.submit(TASK)
    taker.join(10)
    assert taken == [job]


def test_events_are_kept_in_order_and_numbered():
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    queue.post(job, Step(1, 4, "loading"))
    queue.end(job, END)
    assert [(event.job, event.seq) for event in events_of(job)] == [(job.id, 0), (job.id, 1)]
    assert bodies(job) == [Step(1, 4, "loading"), END]


def test_only_the_latest_step_is_kept_and_numbers_are_not_used_again():
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    for done in range(3):
        queue.post(job, Step(done, 3, ""))
    assert [(event.seq, event.body) for event in events_of(job)] == [(2, Step(2, 3, ""))]
    assert job.bytes == len(job.at_or_after(0)[0].frame)


def test_the_steps_of_a_long_training_are_thinned_and_nothing_else_is():
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    for number in range(9999):
        queue.post(job, lens_step(number))
        if number % 3000 == 0:
            queue.post(job, row(number))
        queue.post(job, Step(number, 9999, ""))
    queue.end(job, END)
    kept = [msgspec.msgpack.decode(message[4:]) for message in frames_of(job)]
    numbers = {
        kind: [event["seq"] for event in kept if event["body"]["type"] == kind]
        for kind in ("lens-step", "logit-lens-row", "step", "finished")
    }
    steps = [event["body"]["step"] for event in kept if event["body"]["type"] == "lens-step"]
    assert steps == [*range(0, 9998, 8), 9998]
    assert numbers["logit-lens-row"] == [1, 6002, 12003, 18004]
    assert (numbers["step"], numbers["finished"]) == ([20001], [20002])
    assert [event["seq"] for event in kept] == sorted(chain.from_iterable(numbers.values()))
    assert job.bytes == sum(map(len, frames_of(job)))


@pytest.mark.parametrize(("done", "total", "share"), [(1, 4, 0.25), (5, 4, 1.0), (3, 0, 0.0)])
def test_progress_is_the_share_of_the_latest_step(done, total, share):
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    queue.post(job, Step(done, total, "loading"))
    assert (job.info().progress, job.info().what) == (share, "loading")


def test_a_waiting_job_is_cancelled_at_once_and_never_taken():
    queue = JobQueue()
    first, second = queue.submit(TASK), queue.submit(TASK)
    assert queue.cancel(first.id)
    assert (first.state, bodies(first)) == ("cancelled", [Cancelled()])
    assert queue.take() is second


def test_a_running_job_is_only_asked_to_stop():
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    assert queue.cancel(job.id)
    assert job.cancelled.is_set()
    assert job.state == "running"


def test_there_is_nothing_to_cancel_under_an_unknown_name():
    assert not JobQueue().cancel("00000000")


@pytest.mark.parametrize(
    ("ending", "state", "progress", "reason"),
    [
        (END, "done", 1.0, ""),
        (Failed("no disk space"), "failed", 0.5, "no disk space"),
        (Cancelled(), "cancelled", 0.5, ""),
    ],
)
def test_an_ended_job_says_how(ending, state, progress, reason):
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    queue.post(job, Step(1, 2, ""))
    foretold = job.ended_info(ending)
    queue.end(job, ending)
    for info in (foretold, job.info()):
        assert (info.state, info.progress, info.reason) == (state, progress, reason)
        assert info.ended is not None
    assert not queue.busy


def test_stopping_cancels_what_waits_asks_what_runs_and_ends_the_taking():
    queue = JobQueue()
    running, waiting = queue.submit(TASK), queue.submit(TASK)
    queue.take()
    queue.stop()
    assert running.cancelled.is_set()
    assert waiting.state == "cancelled"
    assert queue.take() is None
    with pytest.raises(BadInput, match="stopping"):
        queue.submit(TASK)


def test_the_oldest_ended_jobs_are_forgotten_beyond_a_number():
    queue = JobQueue(most_ended=2)
    ran = [queue.submit(TASK) for _ in range(4)]
    for _ in ran[:3]:
        queue.end(queue.take(), END)
    assert [info.id for info in queue.infos()] == [ran[3].id, ran[2].id, ran[1].id]


def test_the_oldest_ended_jobs_are_forgotten_beyond_their_bytes_but_never_the_last():
    queue = JobQueue(most_ended_bytes=1)
    first, second = queue.submit(TASK), queue.submit(TASK)
    queue.end(queue.take(), END)
    assert queue.find(first.id) is first
    queue.end(queue.take(), END)
    assert queue.find(first.id) is None
    assert queue.find(second.id) is second


def test_too_many_waiting_jobs_are_refused(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    queue = JobQueue()
    queue.submit(TASK)
    queue.submit(TASK)
    with pytest.raises(BadInput, match="2 jobs are waiting"):
        queue.submit(TASK)


def test_every_change_is_told():
    told = []
    queue = JobQueue(on_change=lambda job: told.append(job.state))
    queue.submit(TASK)
    job = queue.take()
    queue.post(job, Step(0, 1, ""))
    queue.end(job, END)
    assert told == ["queued", "running", "running", "done"]


def test_an_end_that_no_frame_holds_is_refused_and_the_job_can_still_end(monkeypatch):
    queue = JobQueue()
    queue.submit(TASK)
    job = queue.take()
    monkeypatch.setattr("mlxterp_engine.worker.protocol.MAX_FRAME", 100)
    with pytest.raises(TooLarge, match="the most is 100"):
        queue.end(job, Failed("x" * 200))
    assert job.state == "running"
    queue.end(job, Cancelled())
    assert bodies(job) == [Cancelled()]


class TestInPassing:
    """What is asked while a prompt is typed."""

    def test_it_runs_like_any_other_and_is_in_no_list(self):
        queue = JobQueue()
        passing = queue.submit(TASK, passing=True)
        listed = queue.submit(TASK)
        assert [info.id for info in queue.infos()] == [listed.id]
        assert queue.take() is passing

    def test_it_is_forgotten_before_jobs_that_were_asked_for(self):
        queue = JobQueue(most_ended=1)
        asked = queue.submit(TASK)
        passing = queue.submit(TASK, passing=True)
        for job in (queue.take(), queue.take()):
            queue.end(job, END)
        assert queue.find(asked.id) is asked
        assert queue.find(passing.id) is None
