"""A lens's folder reads back as it was written, and everything else is refused by name."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.lenses import folder
from mlxterp_engine.lenses.description import check_fits, read_description
from mlxterp_engine.lenses.translators import Translators

import mlx.core as mx
import msgspec
import numpy as np
import pytest
from engine.lenses.made import description, random_translators, toy
from safetensors.numpy import load_file, save_file


@pytest.fixture
def lens(tmp_path) -> Path:
    """A folder with a lens of three blocks of width 4."""
    folder.write(tmp_path / "lens", random_translators(3, 4), description(toy()))
    return tmp_path / "lens"


def refusal(where: Path) -> str:
    with pytest.raises(BadInput) as refused:
        folder.read(where)
    return str(refused.value)


def test_what_is_written_reads_back_to_the_bit(lens):
    said, translators = folder.read(lens)
    written = random_translators(3, 4)
    assert said == description(toy()) == read_description(lens)
    assert mx.array_equal(translators.weight, written.weight)
    assert mx.array_equal(translators.bias, written.bias)


def test_the_files_are_what_the_page_on_the_format_says(lens):
    assert sorted(path.name for path in lens.iterdir()) == ["lens.json", "lens.safetensors"]
    arrays = load_file(lens / "lens.safetensors")
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "weight": ("float32", (3, 4, 4)),
        "bias": ("float32", (3, 4)),
    }
    said = json.loads((lens / "lens.json").read_text())
    assert (said["format"], said["version"], said["kind"]) == ("mlxterp lens", 1, "ridge")
    assert said["model"]["layers"] == 3
    assert said["held_out"]["kl_unigram"] == 3.25


def test_a_layers_row_is_the_map_that_is_applied_to_it(lens):
    arrays = load_file(lens / "lens.safetensors")
    _, translators = folder.read(lens)
    state = np.array([1.0, -2.0, 0.5, 3.0], dtype=np.float32)
    by_hand = state + arrays["weight"][2] @ state + arrays["bias"][2]
    found = translators.translate(mx.array(state)[None], layer=1)[0]
    assert np.array(found) == pytest.approx(by_hand, rel=1e-5)


def test_the_reader_on_the_page_reads_it_too(lens):
    page = Path(__file__).parents[3] / "engine" / "LENSES.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ran = {"folder": lens}
    exec(compile(code, "LENSES.md", "exec"), ran)
    _, translators = folder.read(lens)
    states = np.arange(8, dtype=np.float32).reshape(2, 4)
    for layer in (-1, 0, 1):
        found = ran["translated"](lens, layer, states)
        expected = np.array(translators.translate(mx.array(states), layer))
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_transposed_view_is_written_as_it_reads(tmp_path):
    plain = random_translators(2, 3)
    turned = Translators(mx.swapaxes(plain.weight, 1, 2), plain.bias)
    folder.write(tmp_path, turned, description(toy(2, 3)))
    assert mx.array_equal(folder.read(tmp_path)[1].weight, mx.swapaxes(plain.weight, 1, 2))


def test_missing_files_are_refused_by_name(lens, tmp_path):
    assert "nowhere holds no lens.json" in refusal(tmp_path / "nowhere")
    (lens / "lens.safetensors").unlink()
    assert "lens.safetensors can't be read as a lens's arrays" in refusal(lens)
    (lens / "lens.json").unlink()
    assert "holds no lens.json" in refusal(lens)


@pytest.mark.parametrize("keep", [0, 7, 100, -3])
def test_a_file_that_was_cut_off_is_refused(lens, keep):
    whole = (lens / "lens.safetensors").read_bytes()
    (lens / "lens.safetensors").write_bytes(whole[:keep])
    assert "lens.safetensors can't be read" in refusal(lens)
    (lens / "lens.json").write_bytes((lens / "lens.json").read_bytes()[:keep])
    assert "lens.json is no description of a lens" in refusal(lens)


def rewritten(lens: Path, **arrays: np.ndarray) -> None:
    """Other arrays under the same description."""
    metadata = {"description": (lens / "lens.json").read_text()}
    save_file(load_file(lens / "lens.safetensors") | arrays, lens / "lens.safetensors", metadata)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"weight": np.zeros((3, 4, 5), np.float32)}, "weight is float32 [3, 4, 5] and should be"),
        ({"bias": np.zeros((2, 4), np.float32)}, "bias is float32 [2, 4] and should be"),
        ({"bias": np.zeros((3, 4), np.float16)}, "bias is float16 [3, 4]"),
        ({"bias": np.array([[0] * 4, [0] * 4, [0, np.nan, 0, 0]], np.float32)}, "bias of layer 1"),
        ({"weight": np.full((3, 4, 4), np.inf, np.float32)}, "weight of layer -1 holds values"),
    ],
)
def test_arrays_of_another_shape_or_not_finite_are_refused(lens, arrays, words):
    rewritten(lens, **arrays)
    assert words in refusal(lens)


def test_a_foreign_safetensors_file_is_refused(lens):
    save_file({"weight": np.zeros((3, 4, 4), np.float32)}, lens / "lens.safetensors")
    assert "lens.safetensors can't be read" in refusal(lens)  # it lacks a bias
    save_file(
        {"weight": np.zeros((3, 4, 4), np.float32), "bias": np.zeros((3, 4), np.float32)},
        lens / "lens.safetensors",
    )
    assert "lens.safetensors is no description of a lens" in refusal(lens)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"format": "another"}, "its format is 'another'"),
        ({"version": 2}, "of version 2 and this program reads version 1"),
        ({"version": 2, "kind": "cubic"}, "of version 2"),  # newer: whatever else it holds
        ({"kind": "cubic"}, "is no description of a lens"),
        ({"fit": None}, "is no description of a lens"),
    ],
)
def test_a_foreign_or_newer_description_is_refused(lens, said, words):
    found = json.loads((lens / "lens.json").read_text())
    (lens / "lens.json").write_text(json.dumps(found | said))
    assert words in refusal(lens)


def test_two_files_of_different_writings_are_refused(lens):
    found = json.loads((lens / "lens.json").read_text())
    (lens / "lens.json").write_text(json.dumps(found | {"created": "2026-11-22T00:00:00Z"}))
    assert "not of one writing" in refusal(lens)


def test_translators_that_are_not_finite_are_never_written(tmp_path):
    bad = Translators(mx.zeros((3, 4, 4)), mx.array([[0.0] * 4, [0, 0, 0, mx.inf], [0.0] * 4]))
    with pytest.raises(BadInput, match="bias of layer 0 holds values that are not finite"):
        folder.write(tmp_path / "new", bad, description(toy()))
    assert not (tmp_path / "new").exists()


def test_a_lens_of_another_model_or_unembedding_does_not_fit():
    model = toy()
    check_fits("mine", model, model)
    other = msgspec.structs.replace(model, reference="other", sha256="d" * 64)
    with pytest.raises(BadInput, match=r"fitted to toy \(weights aaaaaaaa…\).*is other.*dddddddd"):
        check_fits("mine", model, other)
    changed = msgspec.structs.replace(model, unembedding_sha256="e" * 64)
    with pytest.raises(BadInput, match="through another unembedding of toy"):
        check_fits("mine", model, changed)
    # In other numbers the same unembedding has other bytes: the weights' hash has to do.
    check_fits("mine", model, msgspec.structs.replace(changed, dtype="bfloat16"))
    wider = msgspec.structs.replace(model, d_model=5)
    with pytest.raises(BadInput, match="3 blocks of width 4, and it has 3 of width 5"):
        check_fits("mine", model, wider)


def test_a_disk_that_takes_no_more_keeps_the_lens_that_was_there(lens):
    """A limit on the size of files stands for a full disk: both fail in the middle of a write."""
    before = {path.name: path.read_bytes() for path in lens.iterdir()}
    script = f"""
        import resource, signal
        from pathlib import Path
        from engine.lenses.made import description, random_translators, toy
        from mlxterp_engine.experiments.errors import RunFailed
        from mlxterp_engine.lenses import folder
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        new = random_translators(3, 40, seed=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
        try:
            folder.write(Path({str(lens)!r}), new, description(toy(3, 40)))
        except RunFailed as error:
            print(error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert "can't be written" in ran.stdout, ran.stderr
    assert {path.name: path.read_bytes() for path in lens.iterdir()} == before
