import os
import stat

from mlxterp_engine import folders
from mlxterp_engine.experiments import BadInput

import pytest


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_lies_under_the_named_home(home):
    assert folders.state_folder() == home / "state"
    assert folders.jobs_folder() == home / "state" / "jobs"
    assert folders.socket_path() == home / "run" / "engine.sock"


def test_the_places_of_sockets_logs_and_jobs_are_closed_to_others(home):
    for folder in (folders.runtime_folder(), folders.state_folder(), folders.jobs_folder()):
        assert mode(folder) == 0o700


def test_a_folder_that_was_open_to_others_is_closed(home):
    (home / "run").mkdir(parents=True, mode=0o755)
    assert mode(folders.runtime_folder()) == 0o700


def test_without_a_home_the_session_s_runtime_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("MLXTERP_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folders.runtime_folder() == tmp_path / "mlxterp"


def test_without_a_session_a_folder_of_our_own_in_the_temporary_one_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("MLXTERP_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert folders.runtime_folder() == tmp_path / f"mlxterp-{os.getuid()}"


def test_a_home_too_deep_for_a_socket_gets_a_short_place_always_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / ("deep" * 30)))
    path = folders.socket_path()
    try:
        assert len(os.fsencode(path)) <= folders.LONGEST_SOCKET_PATH
        assert folders.socket_path() == path
        assert mode(path.parent) == 0o700
    finally:
        path.parent.rmdir()


def test_somebody_else_s_folder_is_refused_by_name(home, monkeypatch):
    folder = folders.runtime_folder()
    monkeypatch.setattr("os.getuid", lambda: 4242)
    with pytest.raises(BadInput, match=str(folder)):
        folders.runtime_folder()


def test_a_place_that_can_not_be_made_is_named_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"file/run can't be made .* MLXTERP_HOME"):
        folders.runtime_folder()
