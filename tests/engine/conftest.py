"""Two models for the engine's tests: the tiny one that comes along, and the real default."""

import json
from collections.abc import Iterator
from pathlib import Path

from mlxterp_engine import InterpretableModel

import pytest

PROMPT = "The capital of France is"


@pytest.fixture(scope="session")
def tiny() -> InterpretableModel:
    """Four blocks, d 128, four query and two key-value heads: opens in a tenth of a second."""
    return InterpretableModel("glass-tiny")


@pytest.fixture(scope="session")
def smol(default_model_cache) -> Iterator[InterpretableModel]:
    """The default model, float32 on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLXTERP_HOME", str(default_model_cache.parent))
        yield InterpretableModel("smollm2-135m")


@pytest.fixture(scope="session")
def tiny_facts(tmp_path_factory) -> Path:
    """What can be asked of the tiny model: five facts that it knows, one that it does not, and two
    that nobody could be asked, for want of the subject and of a one-token answer."""
    facts = [
        ("The Queen of", "Queen", "the"),
        ("Alice was", "Alice", "the"),
        ("the King and the Queen of", "the King", "the"),
        ("Then said the March", "said the", "H"),
        ("Alice was", "Bob", "the"),
        ("Alice began to", "Alice", "the"),
        ("said the Mock", "Mock", "Turtle"),
        ("said the Mock", "said the", "T"),
    ]
    path = tmp_path_factory.mktemp("facts") / "facts.json"
    keys = ("prompt", "subject", "answer")
    path.write_text(json.dumps([dict(zip(keys, fact, strict=True)) for fact in facts]))
    return path
