"""Models of a hub, from a small one on loopback."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models import hub
from mlxterp_engine.models.fetch import fetch
from mlxterp_engine.models.resolve import Located

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One model, owner/tiny, with the files of a folder and some code that nobody wants."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.files |= {"modeling_evil.py": b"raise SystemExit('never run me')"}
        self.gated = False
        self.sent: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if self.server.gated:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, with_body)
        elif path.startswith("/api/models/owner/tiny/tree/"):
            self._send(200, json.dumps(self._tree()).encode(), {}, with_body)
        elif path.startswith("/api/models/owner/tiny"):
            self._send(200, json.dumps(self._model()).encode(), {}, with_body)
        elif path.startswith(f"/owner/tiny/resolve/{COMMIT}/"):
            self._file(path.rsplit("/", 1)[1], with_body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)

    def _model(self) -> dict:
        files = [{"rfilename": n, "size": len(data)} for n, data in self.server.files.items()]
        return {"id": "owner/tiny", "modelId": "owner/tiny", "sha": COMMIT, "siblings": files}

    def _tree(self) -> list[dict]:
        return [
            {"type": "file", "path": name, "size": len(data), "oid": COMMIT}
            for name, data in self.server.files.items()
        ]

    def _file(self, name: str, with_body: bool) -> None:
        data = self.server.files[name]
        if with_body:
            self.server.sent.append(name)
        tag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._send(200, data, tag, with_body)

    def _send(self, status: int, data: bytes, headers: dict, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def small_hub(glass_folder: Path, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(glass_folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(reference: str, cache: Path) -> tuple[list, Located]:
    steps, running = [], fetch(reference, cache)
    while True:
        try:
            steps.append(next(running))
        except StopIteration as end:
            return steps, end.value


def test_a_hub_model_is_fetched_without_its_code(small_hub, tmp_path, glass_folder):
    steps, located = run("owner/tiny", tmp_path)

    assert (located.kind, located.provenance) == ("folder", "hub owner/tiny")
    assert located.path is not None
    weights = located.path / "model.safetensors"
    assert weights.read_bytes() == (glass_folder / "model.safetensors").read_bytes()
    assert "modeling_evil.py" not in small_hub.sent
    assert located.path.is_relative_to(tmp_path)
    assert steps[-1].done == steps[-1].total > 1_700_000


def test_what_was_fetched_is_not_asked_for_again(small_hub, tmp_path):
    run("owner/tiny", tmp_path)
    small_hub.sent.clear()
    steps, _ = run("owner/tiny", tmp_path)
    assert (steps, small_hub.sent) == ([], [])


def refusal(reference: str, cache: Path) -> str:
    with pytest.raises(BadInput) as refused:
        run(reference, cache)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_model_that_the_hub_does_not_have_is_said(small_hub, tmp_path):
    assert "the hub has no model 'owner/none'; check the name" in refusal("owner/none", tmp_path)


def test_a_licence_to_accept_is_said(small_hub, tmp_path):
    small_hub.gated = True
    assert "asks for its licence to be accepted" in refusal("owner/tiny", tmp_path)


def test_a_model_without_safetensors_is_said(small_hub, tmp_path):
    del small_hub.files["model.safetensors"]
    assert "owner/tiny has no weights in safetensors" in refusal("owner/tiny", tmp_path)


def test_too_little_room_stops_it_before_the_weights(small_hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "check_space", full)
    assert refusal("owner/tiny", tmp_path) == "no room for 1774166"
    assert "model.safetensors" not in small_hub.sent


def full(_: Path, needed: int) -> None:
    raise BadInput(f"no room for {needed // 1_000_000 * 1_000_000 + 774166}")


def test_a_hub_that_cannot_be_reached_is_said(tmp_path, monkeypatch):
    with socket.socket() as taken:  # bound and not listening: nobody answers here
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        said = refusal("owner/tiny", tmp_path)
    assert said.startswith("the hub cannot be reached for owner/tiny (")
    assert "give a folder or a .gguf file" in said


def test_offline_is_respected(small_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set; unset it, or give a folder" in refusal("owner/tiny", tmp_path)
    assert small_hub.sent == []


def test_what_several_threads_report_at_once_stays_a_line_each():
    """Files are fetched side by side; a line in pieces could not be read by who waits."""
    script = """
from concurrent.futures import ThreadPoolExecutor
from mlxterp_engine.models.hub_download import _say
with ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda done: _say(done=done, total=4000), range(4000)))
"""
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert sorted(json.loads(line)["done"] for line in told.stdout.splitlines()) == list(
        range(4000)
    )
