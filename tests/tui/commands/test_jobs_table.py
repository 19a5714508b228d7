"""Jobs as lines of a table, and as a page each."""

from mlxterp_engine.worker.protocol import JobInfo
from mlxterp_tui.commands.jobs_table import job_page, jobs_table


def job(**known) -> JobInfo:
    return JobInfo(
        **{"id": "0000000a", "experiment": "trace", "state": "done", "progress": 1.0, **known}
    )


TRAINING = job(
    id="00000001",
    experiment="train-tuned-lens",
    state="running",
    progress=0.25,
    what="waiting for logit-lens",
    started=1.0,
)
LENS = job(
    id="00000002", experiment="logit-lens", state="running", progress=0.5, what="rows", started=2.0
)


def test_of_two_jobs_under_way_one_says_that_it_waits_for_the_other():
    _, lens, training = jobs_table([LENS, TRAINING]).splitlines()
    assert "running" not in lens + training
    assert "50% rows" in lens
    assert "25% waiting for logit-lens" in training


def test_a_page_names_the_run_that_keeps_the_job_and_why_it_failed_where_it_did():
    done, failed = job_page(job(run=7)), job_page(job(state="failed", reason="no room"))
    assert done.splitlines()[-1].split() == ["run", "7"]
    assert failed.splitlines()[-1].split() == ["reason", "no", "room"]
    assert not any(line.startswith("run") for line in failed.splitlines())
