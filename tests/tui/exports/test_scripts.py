"""Every experiment's exports, of real runs: scripts that run again, tables that name their axes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mlxterp_engine import InterpretableModel, run
from mlxterp_engine.experiments import EXPERIMENTS, BadInput, PathPatching
from mlxterp_engine.runlog.log import RunLog
from mlxterp_tui.exports.axes import UNNAMED, axes_of
from mlxterp_tui.exports.from_log import taken
from mlxterp_tui.exports.script import script
from mlxterp_tui.logbook import Stored

import msgspec
import numpy as np
import pytest
from engine.lenses.made import written
from examples import EXAMPLES

experiments = pytest.mark.parametrize("experiment", EXPERIMENTS)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stored]]:
    """A run of each experiment, as the log has it; asked beside a vector and a lens."""
    folder = tmp_path_factory.mktemp("asked-here")
    written(folder / "lens", InterpretableModel("glass-tiny"))
    np.savez(folder / "vector.npz", vector=np.ones(128, dtype=np.float32))
    before = Path.cwd()
    os.chdir(folder)
    try:
        with RunLog.open(tmp_path_factory.mktemp("log")) as log:
            runs = {name: run(request, log=log).id for name, request in EXAMPLES.items()}
            yield {name: taken(log, number) for name, number in runs.items()}
    finally:
        os.chdir(before)


def executed(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The script in a fresh interpreter, in a folder where nothing else is."""
    (folder / "again.py").write_text(text)
    return subprocess.run(
        [sys.executable, "again.py"],
        cwd=folder,
        env={**os.environ, "MLXTERP_HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@experiments
def test_a_script_runs_again_to_the_same_figures(experiment, logged, tmp_path):
    stored = logged[experiment]
    done = executed(script(stored), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == stored.record.headline
    told = {line.split()[0]: line.split() for line in done.stdout.splitlines()[2:]}
    assert set(told) == {*stored.record.figures, *stored.record.contracts}
    for name in stored.record.figures:
        assert told[name][3] == "0.0e+00"
    for name in stored.record.contracts:
        assert told[name][3] == "holds"


def test_a_file_of_pairs_is_found_again_from_any_folder(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    pair = {"clean": "The cat", "corrupt": "The bat", "answer": "s", "wrong": "e"}
    Path("pairs.jsonl").write_text(json.dumps(pair))
    asked = PathPatching(model="glass-tiny", pairs="pairs.jsonl")
    with RunLog.open(tmp_path / "log") as log:
        stored = taken(log, run(asked, log=log).id)
    done = executed(script(stored), there)
    assert (done.returncode, done.stderr) == (0, "")
    made = msgspec.structs.replace(stored.record, request=stored.record.request | {"pairs": "ioi"})
    assert "os.chdir" not in script(Stored(made))


@experiments
def test_a_script_is_short_and_needs_the_engine_alone(experiment, logged):
    text = script(logged[experiment])
    assert "mlxterp_tui" not in text
    assert len(text.splitlines()) <= 70
    assert max(map(len, text.splitlines())) < 130


def test_another_models_weights_are_named_and_nothing_is_run(logged, tmp_path):
    record = logged["logit-lens"].record
    card = msgspec.structs.replace(record.model, sha256="0" * 64)
    text = script(Stored(msgspec.structs.replace(record, model=card)))
    done = executed(text, tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("glass-tiny has other weights now: ")


def test_a_figure_that_moved_is_shown_with_its_drift(logged, tmp_path):
    record = logged["logit-lens"].record
    figures = {**record.figures, "top_prob": record.figures["top_prob"] + 0.25}
    done = executed(script(Stored(msgspec.structs.replace(record, figures=figures))), tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("top_prob")]
    assert line.endswith(" 2.5e-01")


def test_no_text_gets_out_of_its_string_or_comment(logged):
    hostile = 'x"""\'\'\'\n\r\x0c\u2028import os; os.remove("x")\\'
    record = logged["logit-lens"].record
    request = {**record.request, "prompt": hostile}
    text = script(
        Stored(
            msgspec.structs.replace(record, request=request, hypothesis=hostile, headline=hostile)
        )
    )
    names: dict[str, object] = {}
    asked = text.partition("\nmodel = ")[0]
    exec(compile(asked, "script", "exec"), names)
    assert names["request"].prompt == hostile  # type: ignore[attr-defined]
    assert "\nimport os" not in text


def test_a_run_that_no_script_could_repeat_is_refused_in_words(logged):
    record = logged["logit-lens"].record
    given = msgspec.structs.replace(record.model, provenance="given in Python")
    with pytest.raises(BadInput, match="was of a model made in Python"):
        script(Stored(msgspec.structs.replace(record, model=given)))
    card = {"name": "reproduce", "card": "logit-lens", "model": "glass-tiny"}
    with pytest.raises(BadInput, match="made again by: mlxterp-tui reproduce logit-lens"):
        script(Stored(msgspec.structs.replace(record, request=card)))


@experiments
def test_every_array_has_axes_with_names(experiment, logged):
    result = logged[experiment].result
    for name, array in result.arrays.items():
        axes = axes_of(experiment, name, array)
        assert not [axis for axis in axes if axis.startswith(UNNAMED)], name
