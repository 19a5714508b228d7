"""Two models for the engine's tests: the tiny one that comes along, and the real default."""

from collections.abc import Iterator

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
