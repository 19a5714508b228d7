"""The shelf knows lenses by name and by model, and new ones get a name that is free."""

import subprocess
import sys

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.lenses import folder, shelf

import msgspec
import pytest
from engine.lenses.made import description, random_translators, toy

OTHER = msgspec.structs.replace(toy(), reference="other", sha256="d" * 64)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def put(name: str, model=None) -> None:
    said = description(model or toy())
    folder.write(shelf.lenses_folder() / name, random_translators(3, 4), said)


def test_an_empty_shelf_is_an_empty_list(home):
    assert shelf.kept() == []
    assert shelf.lenses_folder() == home / "data" / "lenses"


def test_lenses_are_listed_by_name_and_by_the_hash_of_their_model():
    for name, model in [("b", toy()), ("a", toy()), ("c", OTHER)]:
        put(name, model)
    assert [lens.name for lens in shelf.kept()] == ["a", "b", "c"]
    assert [lens.name for lens in shelf.kept("a" * 64)] == ["a", "b"]
    assert shelf.kept("a" * 64)[0].description == description(toy())
    assert shelf.kept("f" * 64) == []


def test_a_training_under_way_and_a_damaged_lens_are_not_listed():
    (shelf.lenses_folder() / "under-way").mkdir()
    put("damaged")
    (shelf.lenses_folder() / "damaged" / "lens.json").write_text("{")
    (shelf.lenses_folder() / "a-file").write_text("")
    assert shelf.kept() == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("smollm2-135m", "smollm2-135m-ridge"),
        ("/home/me/My Model/", "My-Model-ridge"),
        ("owner/Model.v2", "Model.v2-ridge"),
        ("../x.gguf", "x-ridge"),
        ("..", "model-ridge"),
        ("モデル", "model-ridge"),
    ],
)
def test_a_new_lens_is_named_after_its_model_in_plain_letters(model, name):
    assert shelf.default_name(model, "ridge") == name
    assert shelf.new_folder(model, "ridge") == shelf.lenses_folder() / name
    assert shelf.default_name(model, "ridge") == f"{name}-2"
    assert shelf.new_folder(model, "ridge").name == f"{name}-2"


def test_a_name_is_the_one_on_the_shelf_and_a_path_is_a_folder(tmp_path):
    put("mine")
    (tmp_path / "mine").mkdir()
    assert shelf.resolve("mine") == shelf.lenses_folder() / "mine"
    assert shelf.resolve("./mine").resolve() == tmp_path / "mine"
    assert shelf.resolve(str(tmp_path / "mine")) == tmp_path / "mine"


@pytest.mark.parametrize("name", ["theirs", "../mine", "", "a\x00b", "n" * 300])
def test_what_is_nowhere_is_refused_with_the_names_that_there_are(name):
    put("mine")
    with pytest.raises(BadInput, match=r"there is no lens .*\(mine\); mlxterp-tui run train-"):
        shelf.resolve(name)


def test_the_screen_may_list_lenses_without_mlx_or_numpy():
    script = (
        "import sys; from mlxterp_engine.lenses import shelf; shelf.kept(); print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"mlx", "mlx.core", "numpy", "safetensors"} & set(ran.stdout.split())
