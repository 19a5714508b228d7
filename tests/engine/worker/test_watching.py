from mlxterp_engine.experiments import LogitLens, Step
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import Cancelled, Failed, decode_from_engine
from mlxterp_engine.worker.watching import STEP_INTERVAL, Remembered, Watching

from stand_in import row


def running_job():
    queue = JobQueue()
    queue.submit(LogitLens(prompt="a"))
    return queue, queue.take()


def body(frame):
    return decode_from_engine(frame[4:]).body


def drained(view, now):
    """What is sent at this time, and the seconds until there may be more."""
    sent = []
    while isinstance(found := view.next(now), bytes):
        sent.append(body(found))
    return sent, found


def test_who_comes_late_gets_what_was_before_from_the_number_asked_for():
    queue, job = running_job()
    for layer in range(3):
        queue.post(job, row(layer))
    assert drained(Watching(job), 0.0) == ([row(0), row(1), row(2)], None)
    assert drained(Watching(job, seq=2), 0.0) == ([row(2)], None)


def test_a_second_step_waits_its_time_and_a_newer_one_takes_its_place():
    queue, job = running_job()
    view = Watching(job)
    queue.post(job, Step(0, 9, ""))
    assert drained(view, STEP_INTERVAL) == ([Step(0, 9, "")], None)
    queue.post(job, Step(1, 9, ""))
    assert drained(view, STEP_INTERVAL) == ([], STEP_INTERVAL)
    queue.post(job, Step(2, 9, ""))
    assert drained(view, 2 * STEP_INTERVAL) == ([Step(2, 9, "")], None)


def test_an_early_step_never_holds_up_a_part():
    queue, job = running_job()
    view = Watching(job)
    queue.post(job, Step(0, 9, ""))
    drained(view, 10.0)
    queue.post(job, Step(1, 9, ""))
    queue.post(job, row(0))
    assert drained(view, 10.0) == ([row(0)], None)


def test_what_is_not_announced_is_not_sent_and_keeps_the_view_open():
    """Between an event and its announcement a notice may have to be heard first."""
    queue = JobQueue(on_change=lambda job: None)
    queue.submit(LogitLens(prompt="a"))
    job = queue.take()
    view = Watching(job)
    queue.post(job, row(0))
    before_the_end = job.appended
    queue.end(job, Cancelled())
    assert drained(view, 0.0) == ([], None)
    job.announce(before_the_end)
    assert drained(view, 0.0) == ([row(0)], None)
    assert not view.over
    job.announce(job.appended)
    assert drained(view, 0.0) == ([Cancelled()], None)
    assert view.over


def test_an_early_step_waits_while_what_follows_it_is_not_announced():
    queue, job = running_job()
    view = Watching(job)
    queue.post(job, Step(0, 9, ""))
    drained(view, 0.0)
    queue.post(job, Step(1, 9, ""))
    queue.on_change = lambda job: None
    queue.post(job, row(0))
    assert drained(view, 0.0) == ([], STEP_INTERVAL)


def test_a_view_is_over_when_the_last_event_was_sent():
    queue, job = running_job()
    view = Watching(job)
    queue.end(job, Cancelled())
    assert not view.over
    assert drained(view, 0.0) == ([Cancelled()], None)
    assert view.over


def test_a_remembered_job_has_only_its_end():
    view = Remembered("00000001", 5, Failed("gone"))
    event = decode_from_engine(view.next(0.0)[4:])
    assert (event.job, event.seq, event.body) == ("00000001", 5, Failed("gone"))
    assert view.over
    assert view.next(0.0) is None
