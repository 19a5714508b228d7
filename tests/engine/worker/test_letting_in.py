"""A job in the background lets short ones in between its parts, and is none the worse for it."""

import threading

from mlxterp_engine.experiments import LogitLens, Started, Step
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import Finished
from mlxterp_engine.worker.runner import Runner
from mlxterp_engine.worker.tasks import ModelsListed, Reproduce

import pytest
from stand_in import StandIn

END = Finished(ModelsListed([]))


def short(prompt="rows 1"):
    return LogitLens(prompt=prompt)


def long(folder):
    return Reproduce(card="logit-lens", out=str(folder))


# In the queue.


def begun(queue, task):
    """A running job that has opened its model."""
    queue.submit(task)
    job = queue.take()
    queue.post(job, Started([], []))
    return job


def test_what_is_short_goes_before_what_is_long():
    queue = JobQueue()
    later = [queue.submit(long("a")), queue.submit(long("b"))]
    first = [queue.submit(short()), queue.submit(short())]
    taken = []
    for _ in range(4):
        taken.append(queue.take())
        queue.end(taken[-1], END)
    assert taken == first + later


def test_only_short_jobs_are_let_in_and_nobody_is_waited_for():
    queue = JobQueue()
    begun(queue, long("a"))
    queue.submit(long("b"))
    assert queue.take_short() is None
    lens = queue.submit(short())
    assert queue.take_short() is lens
    assert queue.take_short() is None


@pytest.mark.parametrize(("task", "lets"), [(long("a"), True), (short(), False)])
def test_a_long_job_lets_others_in_once_its_model_is_open(task, lets):
    queue = JobQueue()
    queue.submit(task)
    job = queue.take()
    queue.post(job, Step(0, 1, "fetching"))
    assert not job.lets_others_in
    queue.post(job, Started([], []))
    assert job.lets_others_in == lets


def test_a_job_that_waits_says_for_what_and_then_again_what_it_does():
    told = []
    queue = JobQueue(on_change=lambda job: told.append((job.info().state, job.info().what)))
    job = begun(queue, long("a"))
    queue.post(job, Step(1, 4, "making"))
    queue.submit(short())
    other = queue.take_short()
    told.clear()
    with queue.letting_in(job, other):
        assert {info.state for info in queue.infos()} == {"running"}
        queue.end(other, END)
        assert queue.busy
    assert told == [("running", "waiting for logit-lens"), ("done", ""), ("running", "making")]


def test_stopping_asks_both_to_stop_and_lets_nobody_in():
    queue = JobQueue()
    job = begun(queue, long("a"))
    queue.submit(short())
    other = queue.take_short()
    waiting = queue.submit(short())
    queue.stop()
    assert job.cancelled.is_set()
    assert other.cancelled.is_set()
    assert waiting.state == "cancelled"
    assert queue.take_short() is None


# In the runner.


class Played:
    """A queue on a runner with the stand-in, and what its jobs said: (what it was, how it is)."""

    def __init__(self, monkeypatch, folder):
        monkeypatch.chdir(folder)  # the runner leaves the working folder; this brings it back
        self.folder = folder
        self.bench = StandIn()
        self.queue = JobQueue(on_change=self._changed)
        self.told = []
        self.at = {}
        self._names = {}

    def submit(self, name, task, folder="/"):
        job = self.queue.submit(task, folder=str(folder))
        self._names[job.id] = name
        return job

    def when(self, name, state, act):
        """Do something once a job gets into a state."""
        self.at[name, state] = act

    def play(self):
        """Until nothing is left to do."""
        Runner(self.queue, None, lambda notice: None, lambda result, path: None).work(
            lambda: self.bench
        )
        return [(name, state) for name, state in self.told if state != "queued"]

    def _changed(self, job):
        said = (self._names.get(job.id), job.state)
        if said[0] and (not self.told or self.told[-1] != said):
            self.told.append(said)
        if act := self.at.pop(said, None):
            act()
        if said[1] == "running" and job.begun and (act := self.at.pop((said[0], "begun"), None)):
            act()
        if not self.queue.busy:
            self.queue.stop()


@pytest.fixture
def played(monkeypatch, tmp_path):
    return Played(monkeypatch, tmp_path)


def go(folder):
    return lambda: (folder / "go").touch()


def states(told, name):
    return [state for other, state in told if other == name]


def test_a_short_job_ends_while_the_long_one_waits(played, tmp_path):
    played.submit("card", long(tmp_path))
    played.when("card", "begun", lambda: played.submit("lens", short()))
    played.when("lens", "done", go(tmp_path))
    told = played.play()
    assert told[0] == ("card", "running")
    assert told.index(("lens", "done")) < told.index(("card", "done"))
    assert states(told, "card")[-1] == "done"


def test_the_long_job_goes_on_in_its_own_folder(played, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    played.submit("card", long(tmp_path), place)
    played.when("card", "begun", lambda: played.submit("lens", short()))
    played.when("lens", "done", go(tmp_path))
    played.play()
    assert set((tmp_path / "steps").read_text().splitlines()) == {str(place)}


def test_long_jobs_come_one_after_another(played, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    played.submit("a", long(folders[0]))
    played.submit("b", long(folders[1]))
    played.when("a", "begun", lambda: played.submit("lens", short()))
    played.when("lens", "done", go(folders[0]))
    played.when("b", "running", go(folders[1]))
    told = played.play()
    assert told.index(("a", "done")) < told.index(("b", "running"))


@pytest.mark.parametrize("prompt", ["bad", "fail", "fault"])
def test_a_short_job_that_fails_fails_alone(played, tmp_path, prompt):
    played.submit("card", long(tmp_path))
    played.when("card", "begun", lambda: played.submit("lens", short(prompt)))
    played.when("lens", "failed", go(tmp_path))
    told = played.play()
    assert (states(told, "lens")[-1], states(told, "card")[-1]) == ("failed", "done")


def test_a_short_job_is_cancelled_alone(played, tmp_path):
    played.submit("card", long(tmp_path))
    held = f"hold {tmp_path / 'never'}"
    lens = []
    played.when("card", "begun", lambda: lens.append(played.submit("lens", short(held))))
    played.when("lens", "running", lambda: played.queue.cancel(lens[0].id))
    played.when("lens", "cancelled", go(tmp_path))
    told = played.play()
    assert (states(told, "lens")[-1], states(told, "card")[-1]) == ("cancelled", "done")


def test_a_long_job_that_is_cancelled_while_it_waits_ends_when_the_short_one_has(played, tmp_path):
    card = played.submit("card", long(tmp_path))
    played.when("card", "begun", lambda: played.submit("lens", short()))
    played.when("lens", "running", lambda: played.queue.cancel(card.id))
    told = played.play()
    assert told[-2:] == [("card", "running"), ("card", "cancelled")]
    assert states(told, "lens")[-1] == "done"
    assert (tmp_path / "closed").exists()


def test_both_end_when_the_engine_stops(played, tmp_path):
    played.submit("card", long(tmp_path))
    held = f"hold {tmp_path / 'never'}"
    played.when("card", "begun", lambda: played.submit("lens", short(held)))
    played.when("lens", "running", played.queue.stop)
    told = played.play()
    assert told[-1] == ("card", "cancelled")
    assert ("lens", "cancelled") in told


def test_nobody_is_let_in_while_the_model_is_in_hand(played, tmp_path):
    played.bench.at_rest = False
    played.submit("card", long(tmp_path))
    played.when("card", "begun", lambda: played.submit("lens", short()))
    threading.Timer(0.2, go(tmp_path)).start()
    told = played.play()
    assert told.index(("card", "done")) < told.index(("lens", "running"))
