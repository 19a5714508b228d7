"""The main thread's half, without a process around it."""

from mlxterp_engine.experiments import LogitLens
from mlxterp_engine.worker.archive import Archive
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import Failed
from mlxterp_engine.worker.runner import Runner

import pytest
from stand_in import StandIn


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A queue that stops when its first job has ended."""

    def changed(job):
        if job.over:
            made.stop()

    monkeypatch.chdir(tmp_path)  # the runner leaves the working folder; this brings it back
    made = JobQueue(on_change=changed)
    return made


def test_a_result_that_can_not_be_sent_fails_its_job_in_memory_and_on_disk(
    queue, tmp_path, monkeypatch
):
    monkeypatch.setattr("mlxterp_engine.worker.protocol.MAX_FRAME", 1 << 19)
    job = queue.submit(LogitLens(prompt="large 1"))
    archive = Archive(tmp_path)
    Runner(queue, archive, lambda notice: None, lambda result, path: None).work(StandIn)
    assert job.state == "failed"
    ending = archive.ending(job.id)
    assert isinstance(ending, Failed)
    assert ending.reason == job.reason
    assert "can't be sent" in job.reason


def test_a_full_disk_loses_the_keeping_and_not_the_job(queue, tmp_path):
    archive = Archive(tmp_path / "missing")
    job = queue.submit(LogitLens(prompt="rows 1"))
    Runner(queue, archive, lambda notice: None, lambda result, path: None).work(StandIn)
    assert job.state == "done"


def test_a_folder_that_is_gone_does_not_stop_a_job(queue, tmp_path):
    job = queue.submit(LogitLens(prompt="rows 1"), folder=str(tmp_path / "gone"))
    Runner(queue, None, lambda notice: None, lambda result, path: None).work(StandIn)
    assert job.state == "done"
