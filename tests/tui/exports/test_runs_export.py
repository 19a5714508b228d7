"""`mlxterp-tui runs export`: every format is read back by what it is for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from xml.etree import ElementTree

from mlxterp_engine.experiments import LogitLens, Result
from mlxterp_engine.runlog import upkeep
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_engine.techniques.npz import read_npz
from mlxterp_tui.__main__ import main
from mlxterp_tui.exports.formats import FORMATS

import numpy as np
import pytest

Cli = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    """(exit status, standard output, standard error) of `runs export`."""

    def run(*words: object) -> tuple[int, bytes, str]:
        status = main(["runs", "export", *map(str, words)])
        out, err = capfdbinary.readouterr()
        return status, out, err.decode()

    return run


@pytest.fixture
def run(log: RunLog, lens: Result) -> int:
    """A finished lens, tagged."""
    number = log.begin(_asked(lens), Said(hypothesis="' Paris'", tags=("paris",)))
    log.finish(number, lens)
    return number


@pytest.fixture
def failed(log: RunLog, lens: Result) -> int:
    number = log.begin(_asked(lens))
    log.failed(number, "no memory")
    return number


def _asked(lens: Result) -> LogitLens:
    parameters = {name: value for name, value in lens.meta.experiment.items() if name != "name"}
    return LogitLens(**parameters)


def test_every_format_opens_in_what_it_is_for(cli, run, lens, tmp_path):
    for name in FORMATS:
        out = tmp_path / f"run.{name}"
        assert cli(run, "--out", out) == (0, b"", f"written to {out}\n")
    read = {name: (tmp_path / f"run.{name}").read_bytes() for name in FORMATS}
    assert read["md"].startswith(f"# Run {run}, logit-lens: ".encode())
    assert json.loads(read["json"])["kl"][-1] == [0.0] * 5
    assert json.loads(read["jsonl"])["run"]["hypothesis"] == "' Paris'"
    meta, arrays = read_npz(tmp_path / "run.npz")
    assert meta == lens.meta
    assert np.array_equal(arrays["kl"], np.array(lens.arrays["kl"].tolist(), np.float32))
    assert len(list(csv.DictReader(io.StringIO(read["csv"].decode())))) == 31 * 5 * 10
    assert len(read["tsv"].decode().splitlines()) == 1 + 31 * 5
    assert "·Paris" in "".join(ElementTree.fromstring(read["svg"]).itertext())
    assert read["png"].startswith(b"\x89PNG")
    compile(read["py"], "run.py", "exec")


def test_the_same_run_gives_the_same_bytes_in_every_format(cli, run, tmp_path):
    for name in FORMATS:
        first, second = tmp_path / f"1.{name}", tmp_path / f"2.{name}"
        assert cli(run, "--out", first)[0] == cli(run, "--out", second)[0] == 0
        assert first.read_bytes() == second.read_bytes(), name


def test_text_goes_to_standard_output_alone(cli, run):
    status, out, err = cli(run, "--format", "md", "--out", "-")
    assert (status, err) == (0, "")
    assert out.endswith(b"\n```\n")


def test_the_size_of_a_picture_is_in_characters(cli, run, tmp_path):
    boxes = []
    for size in ("60x20", "120x40"):
        cli(run, "--size", size, "--out", tmp_path / "a.svg")
        root = ElementTree.fromstring((tmp_path / "a.svg").read_text())
        boxes.append([float(number) for number in root.attrib["viewBox"].split()])
    assert 1.8 < boxes[1][2] / boxes[0][2] < 2
    assert 1.7 < boxes[1][3] / boxes[0][3] < 2


def test_a_failed_run_has_a_report_and_a_script_and_no_numbers(cli, failed, tmp_path):
    assert cli(failed, "--out", tmp_path / "a.md")[0] == 0
    assert "no memory" in (tmp_path / "a.md").read_text()
    assert cli(failed, "--out", tmp_path / "a.py")[0] == 0
    status, _, err = cli(failed, "--out", tmp_path / "a.csv")
    assert (status, "has no numbers; md and py can be written" in err) == (2, True)
    assert not (tmp_path / "a.csv").exists()


def test_a_report_is_written_even_where_the_result_is_gone(cli, log, run, tmp_path):
    upkeep.result_path(log.folder, run).unlink()
    status, _, err = cli(run, "--out", tmp_path / "a.md")
    assert (status, "is missing" in err) == (0, True)
    assert "> **Expected:** ' Paris'" in (tmp_path / "a.md").read_text()
    assert cli(run, "--out", tmp_path / "a.csv")[0] == 2


def test_a_notebook_of_all_runs_names_what_could_not_be_read(cli, log, run, failed, tmp_path):
    upkeep.result_path(log.folder, run).unlink()
    status, out, err = cli("--out", tmp_path / "notes")
    assert status == 0
    assert out.decode() == f"2 runs in {tmp_path / 'notes'}, 3 files changed\n"
    assert err.count("is missing") == 1
    assert cli("--out", tmp_path / "notes")[1].endswith(b"0 files changed\n")


def test_a_notebook_of_the_runs_that_were_asked_for(cli, run, failed, tmp_path):
    tomorrow = datetime.now() + timedelta(days=1)
    for words, count in [
        (("--tag", "paris"), 1),
        (("--search", "state:failed"), 1),
        (("--experiment", "trace"), 0),
        (("--since", f"{datetime.now():%Y-%m-%d}"), 2),
        (("--since", f"{tomorrow:%Y-%m-%d}"), 0),
        (("--until", f"{tomorrow:%Y-%m-%d}"), 2),
        ((failed,), 1),
    ]:
        _, out, _ = cli(*words, "--out", tmp_path / "notes")
        assert out.startswith(f"{count} run".encode()), words


def test_several_runs_as_lines(cli, run, failed, tmp_path):
    assert cli("--out", tmp_path / "all.jsonl")[0] == 0
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"]["id"] for line in lines] == [failed, run]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("99", "--out", "a.md"), "there is no run 99"),
        (("1", "--out", "a.doc"), "ends in no format; end it in .md, .json"),
        (("1", "--format", "docx", "--out", "a.md"), "'docx' is not known; give one of md, json"),
        (("1", "--out", "nowhere/a.md"), "is no folder; make it first"),
        (("1", "--out", "-"), "--format is missing"),
        (("1", "--format", "png", "--out", "-"), "png is no text to print"),
        (("--format", "csv", "--out", "a.csv"), "csv holds one run and none is named"),
        (("1", "1", "--out", "a.csv"), "csv holds one run and 2 are named"),
        (("1", "--size", "3x3", "--out", "a.svg"), "'3x3' is no size"),
        (("--with", "svg", "--out", "notes"), "'svg' can't be written beside"),
        (("--since", "soon", "--out", "notes"), "'soon' is no date"),
        (("1",), "--out is missing"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    cli, run, tmp_path, monkeypatch, words, sentence
):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    status, out, err = cli(*words)
    assert (status, out, len(err.splitlines())) == (2, b"", 1)
    assert sentence in err
    assert list(folder.iterdir()) == []


def test_a_file_that_is_there_is_replaced_whole_or_not_at_all(cli, run, failed, tmp_path):
    out = tmp_path / "a.csv"
    out.write_text("before")
    assert cli(failed, "--out", out)[0] == 2
    assert out.read_text() == "before"
    assert cli(run, "--out", out)[0] == 0
    assert out.read_text().startswith("layer,")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.csv"]


def test_a_log_that_had_to_be_mended_is_said(cli, log, run, tmp_path):
    log.close()
    (log.folder / "runs.db").write_bytes(b"no database at all" * 100)
    for name in ("runs.db-wal", "runs.db-shm"):
        (log.folder / name).unlink(missing_ok=True)
    status, _, err = cli(run, "--out", tmp_path / "a.md")
    assert status == 0
    assert "was put aside as" in err


def test_a_script_is_written_even_where_the_result_is_lost(cli, log, run, tmp_path):
    """It needs the request and the figures, and is what such a run is got back with."""
    upkeep.result_path(log.folder, run).unlink()
    status, _, err = cli(run, "--out", tmp_path / "again.py")
    assert (status, "is missing" in err) == (0, True)
    assert "FIGURES" in (tmp_path / "again.py").read_text()
