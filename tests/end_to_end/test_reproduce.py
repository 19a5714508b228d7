"""`mlxterp-tui reproduce` as its users meet it: one command, a price, a card, runs in the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlxterp_engine.experiments.card import card_from
from mlxterp_engine.reproductions import shelf
from mlxterp_engine.runlog.log import RunLog

import pytest

PATIENCE = 120.0
GLASS = ("logit-lens", "--fast", "--model", "glass-tiny")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduce") / "home"


@pytest.fixture(autouse=True)
def in_home(home, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(home))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)


def start(*words):
    command = [sys.executable, "-m", "mlxterp_tui", *map(str, words)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def cli(*words):
    """(exit status, standard output, standard error)"""
    with start(*words) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def reproduce(*words):
    return cli("reproduce", *words)


@pytest.fixture(scope="module")
def made(home, tmp_path_factory):
    """A card made by one command, into a folder that was not there."""
    folder = tmp_path_factory.mktemp("cards") / "new" / "card"
    environment = os.environ | {"MLXTERP_HOME": str(home)}
    command = [sys.executable, "-m", "mlxterp_tui", "reproduce", *GLASS, "--json"]
    found = subprocess.run(
        [*command, "--out", str(folder)],
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        env=environment,
    )
    return found, folder


def test_one_command_prints_the_card_and_writes_it(made):
    found, folder = made
    assert found.returncode == 0, found.stderr
    card = json.loads(found.stdout)
    assert card == json.loads((folder / "card.json").read_text())
    assert {path.name for path in folder.iterdir()} == {"card.json", "card.md", "figures.npz"}
    assert [claim["verdict"] for claim in card["claims"]].count("not comparable") == 3


def test_the_price_is_told_before_anything_is_computed(made):
    lines = made[0].stderr.splitlines()
    (priced,) = [place for place, line in enumerate(lines) if " passes · about " in line]
    begun = [place for place, line in enumerate(lines) if "% the lens of" in line]
    assert all(place > priced for place in begun)
    assert f"written to {made[1]}" in lines[-1]


def test_its_runs_are_in_the_log_under_the_card_s(made):
    card = card_from((made[1] / "card.json").read_bytes())
    with RunLog.open() as log:
        assert log.record(card.run).request["card"] == "logit-lens"
        assert sorted(line.id for line in log.children(card.run)) == card.runs


def test_the_card_s_own_run_says_how_it_is_made_again(made, tmp_path):
    run = card_from((made[1] / "card.json").read_bytes()).run
    status, _, err = cli("runs", "replay", run)
    assert (status, "mlxterp-tui reproduce logit-lens" in err) == (2, True)
    status, page, _ = cli("runs", "export", run, "--format", "md", "--out", "-")
    assert status == 0
    assert "mlxterp-tui reproduce logit-lens --model glass-tiny --fast" in page
    assert "runs replay" not in page
    assert cli("runs", "export", run, "--format", "py", "--out", "-")[0] == 2
    notebook = tmp_path / "notebook"
    status, _, err = cli("runs", "export", "--tag", "card", "--with", "py", "--out", notebook)
    assert status == 0, err
    pages = {path.suffix for path in notebook.glob(f"*-{run}-reproduce.*")}
    assert pages == {".md"}


def test_a_card_without_json_is_a_page_of_claims_and_the_last_one_in_the_list(home):
    status, out, _ = reproduce("list", "--json")
    entries = json.loads(out)
    assert status == 0
    assert [entry["name"] for entry in entries] == ["logit-lens", "tuned-lens", "causal-tracing"]
    assert not any(entry["last"] for entry in entries)
    assert "none yet" in reproduce("list")[1]
    status, page, _ = reproduce(*GLASS)
    assert status == 0
    shelved = shelf.latest("logit-lens")
    assert shelved is not None
    assert json.loads(reproduce("list", "--json")[1])[0]["last"] == {
        "created": shelved.card.created,
        "verdicts": shelved.card.headline,
        "folder": str(shelved.folder),
    }
    assert page.count("verdict  NOT COMPARABLE") == 3
    assert max(map(len, page.splitlines())) <= 88


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "NAME is missing"),
        (
            ("logit-lns",),
            "'logit-lns' is not known; give one of logit-lens, tuned-lens, causal-tracing, list",
        ),
        (("logit-lens", "--seed", "x"), "--seed: 'x' is no whole number"),
        (("logit-lens", "--seed", "-1"), "seed is -1; give a whole number from 0"),
        (("logit-lens", "--model", "glass-tny"), "glass-tny"),
        (
            ("causal-tracing", "--model", "glass-tiny"),
            "none of the facts of known can be traced",
        ),
        (("list", "--fast"), "list takes only --json; leave --fast out"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, said):
    status, out, err = reproduce(*words)
    assert (status, out) == (2, "")
    assert said in err.splitlines()[-1]


def test_an_out_that_is_a_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    status, out, err = reproduce(*GLASS, "--out", tmp_path / "mine")
    assert (status, out) == (2, "")
    assert "which is a file; name a folder" in err.splitlines()[-1]
    assert (tmp_path / "mine").read_text() == "mine"


def test_ctrl_c_ends_it_with_130_and_keeps_the_runs_that_were_done(tmp_path, home_with_model):
    """On the default model, which takes long enough to be stopped."""
    process = start("reproduce", "logit-lens", "--out", tmp_path / "card")
    try:
        _wait_for_a_child()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, ""), err
    assert not (tmp_path / "card").exists()
    with RunLog.open() as log:
        own = log.lines()[-1]
        states = {line.state for line in log.children(own.id)}
    assert own.state == "cancelled"
    assert "done" in states


def _wait_for_a_child() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with RunLog.open() as log:
            lines = log.lines()
            if any(line.state == "done" for line in lines):
                return
        time.sleep(0.05)
    raise AssertionError("no run of the card was ever done")
