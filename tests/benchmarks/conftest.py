"""Benchmarks print ratios taken in alternation in one run. They assert nothing about time.

pytest -m benchmark -s tests/benchmarks
"""

from mlxterp_engine import InterpretableModel

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "benchmarks" in item.nodeid:
            item.add_marker(pytest.mark.benchmark)


@pytest.fixture(scope="session")
def smol(default_model_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLXTERP_HOME", str(default_model_cache.parent))
        yield InterpretableModel("smollm2-135m")
