from mlxterp_engine.experiments import LogitLens
from mlxterp_engine.worker.references import seen_from
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
