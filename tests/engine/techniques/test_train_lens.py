"""Trainings as experiments: what they find, where the lens is, and what they refuse."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlxterp_engine import LogitLens, TrainRidgeLens, TrainTunedLens, TunedLens, run
from mlxterp_engine.experiments import BadInput, LensEvaluation, LensStep, Price
from mlxterp_engine.lenses import checkpoint, folder, shelf
from mlxterp_engine.techniques.execute import execute, price

import numpy as np
import pytest

SMALL = {"model": "glass-tiny", "sequence_length": 32, "held_out_tokens": 62}


def tuned(where, **more):
    return TrainTunedLens(**{**SMALL, "tokens_per_step": 62, "steps": 4, **more}, out_dir=where)


def ridge(where, **more):
    return TrainRidgeLens(**{**SMALL, "tokens_per_step": 620, "steps": 4, **more}, out_dir=where)


@pytest.fixture(scope="module")
def found(tiny, tmp_path_factory):
    """A run of each training, and the folder of its lens."""
    place = tmp_path_factory.mktemp("lenses")
    return {
        kind: (run(asked(str(place / kind)), tiny, log=False), place / kind)
        for kind, asked in (("tuned", tuned), ("ridge", ridge))
    }


@pytest.mark.parametrize("kind", ["tuned", "ridge"])
def test_arrays_are_as_the_command_line_promises(found, kind):
    result, _ = found[kind]
    arrays = result.arrays
    assert arrays["layer"].tolist() == [-1, 0, 1, 2]
    for name in ("kl_logit_lens", f"kl_{kind}_lens", "kl_unigram"):
        assert arrays[name].shape == (4,)
    assert arrays["train_loss"].shape == ((4, 4) if kind == "tuned" else (1, 4))
    assert result.meta.figures["tokens"] == (248 if kind == "tuned" else 2480)
    assert all(contract.ok for contract in result.meta.contracts.values())
    assert result.meta.contracts["zero_lens"].error == 0
    assert result.meta.contracts["lens_reads_back"].error == 0


@pytest.mark.parametrize("kind", ["tuned", "ridge"])
def test_the_folder_says_what_was_measured_and_holds_no_checkpoint(found, kind):
    result, where = found[kind]
    description = folder.read_description(where)
    assert description.kind == kind
    assert description.held_out.kl == pytest.approx(result.arrays[f"kl_{kind}_lens"].tolist())
    assert description.fit.tokens == result.meta.figures["tokens"]
    assert sorted(file.name for file in where.iterdir()) == ["lens.json", "lens.safetensors"]


def test_the_lens_reads_prompts(found, tiny):
    _, where = found["ridge"]
    prompt = "Once upon a time"
    through = run(TunedLens(prompt=prompt, lens=str(where)), tiny, log=False).arrays
    plain = run(LogitLens(prompt=prompt), tiny, log=False).arrays
    assert np.array_equal(through["kl"][-1], plain["kl"][-1])
    assert through["kl"][0, 1:].mean() < plain["kl"][0, 1:].mean()


def test_ridge_brings_every_layer_nearer(found):
    arrays = found["ridge"][0].arrays
    assert (arrays["kl_ridge_lens"] < arrays["kl_logit_lens"]).all()


def test_from_the_ridge_lens_a_training_begins_where_that_stands(tiny, tmp_path):
    parts = []
    run(tuned(str(tmp_path / "it"), init="ridge"), tiny, parts.append, log=False)
    first = next(part for part in parts if isinstance(part, LensEvaluation))
    kl, logit = np.array(first.kl.tolist()), np.array(first.kl_logit_lens.tolist())
    assert (kl < logit).mean() >= 0.5  # of 248 tokens, so not at every layer


def test_without_a_folder_it_goes_on_the_shelf_under_a_name_of_its_own(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    names = [run(ridge(None), tiny, log=False).strings["lens"]["name"] for _ in range(2)]
    assert names == ["glass-tiny-ridge", "glass-tiny-ridge-2"]
    assert [lens.name for lens in shelf.kept()] == names


def test_texts_of_ones_own_and_a_held_out_file_in_words(tiny, tmp_path):
    (tmp_path / "a.txt").write_text("one two three four five. " * 80)
    (tmp_path / "b.txt").write_text("six seven eight nine ten. " * 20)
    request = ridge(
        str(tmp_path / "it"), corpus=[str(tmp_path / "a.txt")], held_out=[str(tmp_path / "b.txt")]
    )
    said = run(request, tiny, log=False).strings["lens"]
    assert "held out: 1 text of other files" in said["corpus"]


def refused(tiny, request):
    with pytest.raises(BadInput) as refusal:
        run(request, tiny, log=False)
    return str(refusal.value)


def test_a_tiny_corpus_is_refused_in_words_and_leaves_no_folder(tiny, tmp_path):
    (tmp_path / "a.txt").write_text("too short.\n\nfar too short.\n\n")
    request = tuned(str(tmp_path / "it"), corpus=[str(tmp_path / "a.txt")])
    assert "too few for 4 sequences of 32; give more text" in refused(tiny, request)
    assert not (tmp_path / "it").exists()


def test_what_can_be_seen_at_once_is_refused_before_anything_begins(tiny, tmp_path):
    assert "reads 128 tokens at most" in refused(
        tiny, tuned(str(tmp_path / "x"), sequence_length=200, tokens_per_step=400)
    )
    assert "no_such.txt" in refused(tiny, tuned(str(tmp_path / "x"), corpus=["no_such.txt"]))
    (tmp_path / "file").touch()
    assert "is a file; name a folder" in refused(tiny, tuned(str(tmp_path / "file")))
    assert "nothing to resume in" in refused(tiny, tuned(str(tmp_path / "x"), resume=True))
    assert not (tmp_path / "x").exists()


def stopped_after(tiny, request, step):
    steps = execute(tiny, request)
    while not (isinstance(part := next(steps), LensStep) and part.step == step):
        pass
    steps.close()


def test_stopped_it_can_be_resumed_by_its_folder_and_by_nothing_else(tiny, tmp_path):
    where = str(tmp_path / "it")
    unbroken = run(tuned(str(tmp_path / "whole")), tiny, log=False).arrays
    stopped_after(tiny, tuned(where), 2)
    assert "holds a training that is not finished" in refused(tiny, tuned(where))
    assert "with seed 0 and this one has 5" in refused(tiny, tuned(where, seed=5, resume=True))
    (tmp_path / "other.txt").write_text("other text of its own. " * 200)
    other = tuned(where, corpus=[str(tmp_path / "other.txt")], resume=True)
    assert "with corpus builtin" in refused(tiny, other)
    again = run(tuned(where, resume=True), tiny, log=False).arrays
    assert {name: a.tolist() for name, a in again.items()} == {
        name: a.tolist() for name, a in unbroken.items()
    }
    weights = [folder.read(tmp_path / name)[1].weight.tolist() for name in ("it", "whole")]
    assert weights[0] == weights[1]


TRAINS = """
import sys
from mlxterp_engine import InterpretableModel, TrainTunedLens, run
from mlxterp_engine.lenses import training
training.CHECKPOINT_SECONDS = 0.0
request = TrainTunedLens(model="glass-tiny", sequence_length=32, held_out_tokens=62,
                         tokens_per_step=62, steps=40, out_dir=sys.argv[1])
run(request, log=False)
"""


def test_killed_at_any_moment_it_resumes_to_the_same_numbers(tiny, tmp_path):
    unbroken = run(tuned(str(tmp_path / "whole"), steps=40), tiny, log=False).arrays
    where = tmp_path / "it"
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINS, str(where)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "MLXTERP_HOME": str(tmp_path)},
    )
    deadline = time.monotonic() + 60
    while not checkpoint.path_in(where).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert checkpoint.path_in(where).exists(), "it was finished before it was killed"
    again = run(tuned(str(where), steps=40, resume=True), tiny, log=False).arrays
    assert np.array_equal(again["train_loss"], unbroken["train_loss"])
    assert np.array_equal(again["kl_tuned_lens"], unbroken["kl_tuned_lens"])


def test_the_price_grows_with_what_is_read_and_asks_for_no_text(tiny, tmp_path):
    missing = str(tmp_path / "not there")
    some, more = (price(tiny, tuned(missing, steps=n, corpus=["none.txt"])) for n in (10, 100))
    assert isinstance(some, Price)
    assert more.seconds > 2 * some.seconds
    assert more.passes > some.passes
    assert more.bytes == some.bytes
    assert not Path(missing).exists()


def test_the_same_seed_trains_the_same_lens_and_another_another(tiny, tmp_path):
    losses = [
        run(tuned(str(tmp_path / str(n)), seed=seed), tiny, log=False).arrays["train_loss"]
        for n, seed in enumerate((1, 1, 2))
    ]
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_in_python_texts_train_a_lens_that_reads(tiny):
    from mlxterp_engine.corpora.builtin import builtin

    texts = [text.text for text in builtin().training[:12]]
    steps = []
    lens = tiny.train_tuned_lens(
        *(texts, 3), sequence_length=32, tokens_per_step=62, on_part=steps.append
    )
    assert [part.step for part in steps if isinstance(part, LensStep)] == [1, 2, 3]
    assert set(tiny.tuned_lens("Once upon a time", lens)) == {0, 1, 2, 3}
    with pytest.raises(BadInput, match="give a list of texts"):
        tiny.train_tuned_lens("one text")
