"""Checkpoints: whole or the one before, and only for the training that they are of."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from mlxterp_engine.experiments import BadInput, RunFailed
from mlxterp_engine.lenses import checkpoint
from mlxterp_engine.lenses.checkpoint import Checkpoint, load, path_in, save

import mlx.core as mx
import numpy as np
import pytest

SETTINGS = {"model": "tiny abc", "steps": 250, "seed": 0, "ridge": "auto"}


def some(step=7, fill=1.5, width=3):
    return Checkpoint(
        step,
        {"weight": [mx.full((width, width), fill)] * 2, "bias": [mx.full((width,), fill)] * 2},
        {"step": mx.array(step, mx.uint64), "weight.0.v": mx.array([0.1])},
        {"loss": np.full((step, 2), 1 / 3), "evaluated_step": np.array([0, 5])},
    )


def test_it_comes_back_bit_for_bit_with_every_dtype(tmp_path):
    save(tmp_path, some(), SETTINGS)
    found = load(tmp_path, SETTINGS)
    assert found.step == 7
    assert found.parameters["weight"][1].tolist() == [[1.5] * 3] * 3
    assert found.optimizer["step"].dtype == mx.uint64
    assert found.optimizer["weight.0.v"].item() == mx.array(0.1).item()
    assert found.history["loss"].dtype == np.float64
    assert (found.history["loss"] == 1 / 3).all()


def test_other_settings_are_refused_by_name(tmp_path):
    save(tmp_path, some(), SETTINGS)
    with pytest.raises(BadInput, match="of a training with steps 250 and this one has 300"):
        load(tmp_path, {**SETTINGS, "steps": 300})
    with pytest.raises(BadInput, match="with model tiny abc and this one has tiny def"):
        load(tmp_path, {**SETTINGS, "model": "tiny def"})


def test_none_a_damaged_and_a_foreign_one_are_refused_in_words(tmp_path):
    with pytest.raises(BadInput, match="nothing to resume in"):
        load(tmp_path, SETTINGS)
    save(tmp_path, some(), SETTINGS)
    whole = path_in(tmp_path).read_bytes()
    path_in(tmp_path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="can't be read"):
        load(tmp_path, SETTINGS)
    path_in(tmp_path).write_bytes(whole.replace(b"mlxterp lens training", b"another one's states "))
    with pytest.raises(BadInput, match="no checkpoint of this version"):
        load(tmp_path, SETTINGS)


def test_a_full_disk_is_said_and_the_one_before_stays(tmp_path):
    save(tmp_path, some(step=3), SETTINGS)
    with _largest_file(1000), pytest.raises(RunFailed, match="step 7 can't be written") as failure:
        save(tmp_path, some(step=7, width=40), SETTINGS)
    assert "the one before is still there" in str(failure.value)
    assert load(tmp_path, SETTINGS).step == 3
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.FILE]


class _largest_file:
    """No file of this process may grow beyond so many bytes: a write fails as on a full disk."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *error: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


WRITES_FOREVER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_checkpoint import SETTINGS, save, some
for step in range(1, 100_000):
    save(Path(sys.argv[1]), some(step, step, width=400), SETTINGS)
    print(step, flush=True)
"""


@pytest.mark.parametrize("after", [1, 2, 5])
def test_killed_in_the_middle_of_a_write_a_whole_one_is_left(tmp_path, after):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES_FOREVER, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert writer.stdout is not None
    for _ in range(after):
        told = int(writer.stdout.readline())
    while not list(tmp_path.glob("*.tmp")):  # the next write has begun
        pass
    writer.kill()
    writer.wait()
    writer.stdout.close()
    found = load(tmp_path, SETTINGS)
    assert found.step >= told
    assert set(np.array(found.parameters["weight"][0]).ravel()) == {found.step}
