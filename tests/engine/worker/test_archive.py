from mlxterp_engine.experiments import BadInput, LogitLens
from mlxterp_engine.worker.archive import LOST, Archive, merged
from mlxterp_engine.worker.protocol import Cancelled, Failed, Finished, JobInfo
from mlxterp_engine.worker.tasks import ModelsListed

import pytest
from stand_in import result

ENDING = Finished(result(LogitLens(prompt="a"), 1.5))


def info(number, state="done"):
    return JobInfo(id=f"0000000{number}", experiment="logit-lens", state=state, progress=1.0)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_an_ended_job_comes_back_whole(archive):
    archive.end(info(1), ENDING)
    assert archive.infos() == [info(1)]
    assert archive.ending("00000001") == ENDING


def test_a_result_that_the_log_keeps_is_named_and_not_written_again(tmp_path):
    large = Finished(result(LogitLens(prompt="a"), *[1.5] * 10_000), run=7)
    kept = {7: large.outcome}
    archive = Archive(tmp_path, result_of=kept.__getitem__)
    archive.end(info(1), large)
    assert archive.path_of("00000001").stat().st_size < 1000
    assert archive.infos() == [info(1)]
    assert archive.ending("00000001") == large


def test_a_result_that_the_log_no_longer_has_is_refused_in_the_logs_words(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    archive = Archive(tmp_path)
    archive.end(info(1), Finished(ENDING.outcome, run=7))
    with pytest.raises(BadInput, match="there is no run 7"):
        archive.ending("00000001")


@pytest.mark.parametrize("ending", [Cancelled(run=7), Finished(ModelsListed([]), run=7)])
def test_what_is_no_result_is_kept_as_it_is(archive, ending):
    archive.end(info(1), ending)
    assert archive.ending("00000001") == ending


def test_another_engine_finds_what_the_last_one_kept(archive):
    archive.end(info(1), Cancelled())
    later = Archive(archive.folder)
    assert later.ending("00000001") == Cancelled()
    assert later.last_id() == "00000001"


def test_a_job_whose_engine_died_is_told_as_failed(archive):
    archive.begin(info(1, "queued"))
    [found] = archive.infos()
    assert (found.state, found.reason) == ("failed", LOST)
    assert archive.ending("00000001") == Failed(LOST)


def test_a_job_that_ended_before_it_was_noted_stays_ended(archive):
    archive.end(info(1), Cancelled())
    archive.begin(info(1, "queued"))
    assert archive.ending("00000001") == Cancelled()


def test_the_newest_comes_first(archive):
    for number in (2, 1, 3):
        archive.end(info(number), Cancelled())
    assert [job.id[-1] for job in archive.infos()] == ["3", "2", "1"]


def test_the_oldest_go_when_there_are_too_many(tmp_path):
    archive = Archive(tmp_path, most_jobs=2)
    for number in (1, 2, 3):
        archive.end(info(number), Cancelled())
    assert [job.id[-1] for job in archive.infos()] == ["3", "2"]


def test_the_oldest_go_when_they_are_too_large_but_the_newest_stays(tmp_path):
    archive = Archive(tmp_path, most_bytes=1)
    for number in (1, 2):
        archive.end(info(number), Cancelled())
    assert [job.id[-1] for job in archive.infos()] == ["2"]


@pytest.mark.parametrize("name", ["00000009", "../secret", "", "x" * 300])
def test_an_unknown_job_is_refused_by_name(archive, name):
    with pytest.raises(BadInput, match="there is no job"):
        archive.ending(name)


def test_a_broken_file_is_passed_over_in_the_list_and_refused_by_name(archive):
    archive.end(info(1), Cancelled())
    archive.path_of("00000001").write_bytes(b"\x01\x00\x00\x00\xc1\x01\x00\x00\x00\xc1")
    assert archive.infos() == []
    with pytest.raises(BadInput, match="can't be read"):
        archive.ending("00000001")


def test_nothing_half_written_is_left_behind(archive):
    archive.end(info(1), ENDING)
    assert [path.name for path in archive.folder.iterdir()] == ["00000001.job"]


def test_the_list_has_each_job_once_as_the_engine_knows_it():
    running = [info(3, "running"), info(2, "running")]
    kept = [info(2, "failed"), info(1)]
    assert [(job.id[-1], job.state) for job in merged(running, kept)] == [
        ("3", "running"),
        ("2", "running"),
        ("1", "done"),
    ]
