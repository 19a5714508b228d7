"""What every test may use. No test touches the user's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

if "PYTEST_XDIST_WORKER" in os.environ:  # two that each span on all cores would wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def no_test_in_the_users_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLXTERP_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def default_model_cache() -> Path:
    """A models folder that holds the default model: fetched once for all that test, and kept.

    `MLXTERP_TEST_CACHE` puts it elsewhere.
    """
    from mlxterp_engine.models.fetch import fetch

    kept = os.environ.get("MLXTERP_TEST_CACHE")
    folder = Path(kept) if kept else platformdirs.user_cache_path("mlxterp-tests", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "fetching"):
        for _ in fetch("smollm2-135m", folder / "models"):
            pass
    return folder / "models"


@pytest.fixture(scope="session")
def default_model_file(default_model_cache: Path) -> Path:
    """The default model's .gguf file."""
    (file,) = (default_model_cache / "smollm2-135m").glob("*.gguf")
    return file


@pytest.fixture(scope="session")
def glass_folder() -> Path:
    """The tiny model that comes along, as an mlx-lm folder: 4 blocks, loads in no time."""
    from mlxterp_engine.models.catalogue import CATALOGUE, LAST_RESORT

    folder = CATALOGUE[LAST_RESORT].folder
    assert folder is not None
    return folder


@pytest.fixture
def home_with_model(
    tmp_path: Path, default_model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A fresh `MLXTERP_HOME` in which the default model is already there."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(default_model_cache)
    monkeypatch.setenv("MLXTERP_HOME", str(home))
    return home
