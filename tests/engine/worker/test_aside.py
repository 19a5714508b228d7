"""One task in the middle of another, on the real workbench: both come to what they would have."""

from mlxterp_engine import backend
from mlxterp_engine.experiments import (
    BadInput,
    Generate,
    LogitLens,
    Price,
    Result,
    Started,
    Step,
    TrainTunedLens,
)
from mlxterp_engine.models import load
from mlxterp_engine.worker.tasks import OpenModel
from mlxterp_engine.worker.workbench import Workbench

import mlx.core as mx
import pytest

LONG = Generate(
    prompt="Alice was", model="glass-tiny", max_tokens=12, temperature=1.0, top_p=1.0, seed=7
)
SHORT = [
    LogitLens(prompt="Once upon a time", model="glass-tiny", seed=3),
    Generate(prompt="The Queen", model="glass-tiny", max_tokens=4, temperature=1.0, seed=8),
    OpenModel(model="glass-tiny", dtype="bfloat16"),
    LogitLens(prompt="Off with", model="glass-tiny", dtype="bfloat16"),
]


def outcome(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def numbers(result: Result) -> dict[str, bytes]:
    return {name: bytes(array.data) for name, array in result.arrays.items()}


def interleaved(bench, long, short):
    """The outcomes of the long task, and of the short ones, of which one runs after each part."""
    steps, between, began = bench.perform(long), iter(short), False
    outcomes = []
    while True:
        try:
            part = next(steps)
        except StopIteration as end:
            return [end.value, *outcomes]
        began = began or isinstance(part, Started)
        task = next(between, None) if began and bench.at_rest else None
        if task is not None:
            with bench.aside(None):
                outcomes.append(outcome(bench.perform(task)))


@pytest.fixture(scope="module")
def alone():
    """Every result, each from a workbench of its own."""
    return [outcome(Workbench().perform(task)) for task in (LONG, *SHORT)]


def test_a_task_and_those_in_its_middle_come_to_the_same_bits_as_alone(alone):
    bench = Workbench()
    made = interleaved(bench, LONG, SHORT)
    assert len(made) == len(alone) == 5
    for together, by_itself in zip(made, alone, strict=True):
        if isinstance(by_itself, Result):
            assert numbers(together) == numbers(by_itself)


@pytest.mark.parametrize("init", ["zero", "ridge"])
def test_a_training_comes_to_the_same_bits_whatever_runs_between_its_parts(tmp_path, init):
    text = tmp_path / "text.txt"
    text.write_text("Alice was beginning to get very tired of sitting by her sister. " * 60)

    def training(name):
        return TrainTunedLens(
            model="glass-tiny",
            corpus=[str(text)],
            steps=3,
            tokens_per_step=62,
            sequence_length=32,
            init=init,
            out_dir=str(tmp_path / name),
        )

    alone = outcome(Workbench().perform(training("alone")))
    disturbed, *others = interleaved(Workbench(), training("disturbed"), SHORT)
    assert len(others) == len(SHORT)
    assert numbers(disturbed) == numbers(alone)
    kept = [mx.load(str(tmp_path / name / "lens.safetensors")) for name in ("alone", "disturbed")]
    assert all(mx.array_equal(kept[0][name], kept[1][name]) for name in ("weight", "bias"))


def drawn(disturb):
    """Random numbers of MLX's own, between which something else is done."""
    mx.random.seed((5 << 32) + 17)
    found = []
    for _ in range(4):
        found.append(mx.random.normal((3,)).tolist())
        disturb()
    return found


def test_random_numbers_go_on_where_they_stood():
    bench = Workbench()

    def disturb():
        with bench.aside(None):
            outcome(bench.perform(SHORT[1]))

    undisturbed = drawn(lambda: None)
    assert drawn(disturb) == undisturbed
    assert drawn(lambda: mx.random.seed(1)) != undisturbed


def test_threads_are_those_of_before():
    if backend.BLAS.library is None:
        pytest.skip("no OpenBLAS here")
    threads = backend.BLAS.library.openblas_get_num_threads
    before = threads()
    with backend.put_back():
        backend.BLAS.library.openblas_set_num_threads(before % 2 + 1)
        assert threads() != before
    assert threads() == before


def test_who_asks_for_the_model_of_a_task_that_waits_gets_the_same_and_the_last_one_stays_open():
    bench = Workbench()
    long = bench.perform(LONG)
    while not isinstance(next(long), Started):
        pass
    outcome(bench.perform(OpenModel(model="glass-tiny", dtype="bfloat16")))
    assert bench.card.dtype == "bfloat16"
    price = bench.price(LONG)
    assert isinstance(next(bench.perform(LONG)), Started)  # nothing is opened
    assert (price, bench.card.dtype) == (bench.price(LONG), "float32")
    outcome(bench.perform(OpenModel(model="glass-tiny", dtype="bfloat16")))
    long.close()
    del long
    assert bench.price(LONG) is None  # nobody uses it any more
    assert isinstance(next(bench.perform(LONG)), Step)


def test_no_model_is_opened_in_the_memory_that_a_task_which_waits_will_need(monkeypatch):
    bench = Workbench()
    outcome(bench.perform(OpenModel(model="glass-tiny")))
    monkeypatch.setattr(load, "available_memory", lambda: 1 << 30)
    monkeypatch.setattr(backend, "memory", lambda: (0, 0))  # other tests' arrays are no job's
    other = OpenModel(model="glass-tiny", dtype="bfloat16")
    with bench.aside(Price(1, 1.0, 3 << 30)), pytest.raises(BadInput) as refused:
        outcome(bench.perform(other))
    assert "1.1 GB are free, 3.2 of them for a job that waits" in str(refused.value)
    with bench.aside(Price(1, 1.0, 1 << 20)):
        outcome(bench.perform(other))
    assert bench.card.dtype == "bfloat16"
