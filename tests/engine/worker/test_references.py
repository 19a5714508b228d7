from mlxterp_engine.experiments import BadInput, LogitLens, TrainRidgeLens, TunedLens
from mlxterp_engine.worker.references import seen_from, working_folder
from mlxterp_engine.worker.tasks import ListModels, OpenModel

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("model.gguf", "model.gguf"),
        ("./model", "model"),
        ("owner/model", "owner/model"),
    ],
)
def test_a_path_is_taken_from_the_asker_s_folder(here, written, meant):
    task = LogitLens(prompt="a", model=written)
    assert seen_from(str(here), task) == LogitLens(prompt="a", model=str(here / meant))


def test_a_path_may_begin_in_the_user_s_home(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert seen_from(str(here), OpenModel(model="~/model")) == OpenModel(model=str(here / "model"))


@pytest.mark.parametrize("name", ["smollm2-135m", "other/model"])
def test_names_of_the_catalogue_and_of_hubs_stay_as_they_are(here, name):
    assert seen_from(str(here), OpenModel(model=name)) == OpenModel(model=name)


def test_a_task_without_a_model_stays_as_it_is(here):
    assert seen_from(str(here), ListModels()) == ListModels()


def test_texts_and_a_lens_s_folder_are_found_from_the_asker_s_folder(here):
    (here / "a.txt").write_text("text")
    asked = TrainRidgeLens(corpus=["a.txt", "builtin"], held_out=["missing.txt"], out_dir="lens")
    seen = seen_from(str(here), asked)
    assert seen.corpus == [str(here / "a.txt"), "builtin"]
    assert seen.held_out == ["missing.txt"]  # refused under the name that was typed
    assert seen.out_dir == str(here / "lens")


@pytest.mark.parametrize(
    ("said", "meant"), [("owner/model", "{}/owner/model"), ("roneneldan/Stories:x", None)]
)
def test_a_dataset_is_a_path_only_where_there_is_one(here, said, meant):
    seen = seen_from(str(here), TrainRidgeLens(dataset=said))
    assert seen.dataset == (meant.format(here) if meant else said)


@pytest.mark.parametrize(
    ("said", "meant"), [("kept-ridge", "kept-ridge"), ("./kept", "{}/kept"), ("a/b", "{}/a/b")]
)
def test_a_lens_without_a_slash_is_one_on_the_shelf(here, said, meant):
    seen = seen_from(str(here), TunedLens(prompt="a", lens=said))
    assert seen.lens == meant.format(here)


def test_a_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BadInput, match="the folder that you are in is gone"):
        working_folder()
