"""What the engine process works with: one model open, whatever asks for it."""

import shutil

from mlxterp_engine.experiments import BadInput, LogitLens, LogitLensRow, Result, Started
from mlxterp_engine.worker.tasks import (
    Examine,
    Examined,
    ListModels,
    ModelOpened,
    ModelsListed,
    OpenModel,
)
from mlxterp_engine.worker.workbench import Workbench

import pytest


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench()


def perform(bench, task):
    """(what came on the way, the outcome)."""
    steps, parts = bench.perform(task), []
    while True:
        try:
            parts.append(next(steps))
        except StopIteration as end:
            return parts, end.value


def test_before_a_model_is_open_there_is_no_price_and_no_token():
    bench = Workbench()
    assert bench.card is None
    assert bench.price(LogitLens(prompt="x", model="glass-tiny")) is None
    with pytest.raises(BadInput, match="no model is open"):
        bench.tokenize("x", "auto", False)
    with pytest.raises(BadInput, match="no model is open"):
        bench.pieces("x")


def test_an_experiment_opens_its_model_and_leaves_it_open(bench):
    request = LogitLens(prompt="Alice was", model="glass-tiny")
    parts, result = perform(bench, request)
    assert isinstance(result, Result)
    assert any(isinstance(part, Started) for part in parts)
    assert sum(isinstance(part, LogitLensRow) for part in parts) == 5
    assert result.meta.load_s > 0
    again, _ = perform(bench, request)
    assert isinstance(again[0], Started)  # nothing was opened this time
    assert bench.price(request).seconds > 0
    assert bench.tokenize("Alice was", "auto", False)[1] == ["Alice", " was"]
    assert bench.pieces(" was")[1] == [" was"]


def test_another_device_or_dtype_is_another_opening(bench):
    _, opened = perform(bench, OpenModel(model="glass-tiny", dtype="bfloat16"))
    assert isinstance(opened, ModelOpened)
    assert bench.card.dtype == "bfloat16"
    assert bench.price(LogitLens(prompt="x", model="glass-tiny")) is None


def test_the_same_folder_name_in_another_place_is_another_model(
    bench, glass_folder, tmp_path, monkeypatch
):
    for place in ("one", "two"):
        shutil.copytree(glass_folder, tmp_path / place / "model")
        monkeypatch.chdir(tmp_path / place)
        parts, _ = perform(bench, OpenModel(model="model"))
        assert parts  # it was opened, and not taken for the one of before


def test_a_model_that_cannot_be_opened_leaves_the_open_one(bench):
    perform(bench, OpenModel(model="glass-tiny"))
    with pytest.raises(BadInput):
        perform(bench, OpenModel(model="glass-tny"))
    assert bench.card.reference == "glass-tiny"


def test_the_catalogue_is_listed_without_opening_anything():
    bench = Workbench()
    _, listed = perform(bench, ListModels())
    assert isinstance(listed, ModelsListed)
    assert [model.reference for model in listed.models] == ["smollm2-135m", "glass-tiny"]
    assert bench.card is None


def test_the_doctor_finds_nothing_wrong_here():
    _, examined = perform(Workbench(), Examine())
    assert isinstance(examined, Examined)
    assert [finding for finding in examined.findings if finding.ok is False] == []
    topics = {finding.topic for finding in examined.findings}
    assert {"device", "parity", "contracts", "versions", "folders"} <= topics
