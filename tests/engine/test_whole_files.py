"""A file is the old one or the new one, and nothing lies beside it."""

import errno
import os
import resource
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from mlxterp_engine.whole_files import put_in_place, sweep, write_whole

import pytest


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "kept" / "a.json"
    path.parent.mkdir()
    path.write_bytes(b"old")
    return path


def beside(path):
    return [other.name for other in path.parent.iterdir() if other != path]


def fails_with(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def test_who_reads_the_old_file_goes_on_reading_it(target):
    with target.open("rb") as reading:
        write_whole(target, [b"ne", memoryview(b"w")])
        assert (reading.read(), target.read_bytes()) == (b"old", b"new")
    assert beside(target) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_fails_leaves_the_old_file_alone(target, error):
    def write_half():
        with put_in_place(target) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert (target.read_bytes(), beside(target)) == (b"old", [])


def test_a_file_that_no_longer_fits_leaves_nothing_behind(target):
    """The kernel itself refuses the bytes past a limit, as it does those past a disk's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_whole(target, bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (target.read_bytes(), beside(target)) == (b"old", [])


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_is_full_at_the_last_moment_leaves_nothing_behind(target, step, monkeypatch):
    monkeypatch.setattr(os, step, fails_with(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"new")
    assert (target.read_bytes(), beside(target)) == (b"old", [])


def test_the_file_is_on_disk_before_it_gets_its_name_and_the_folder_after(target, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def flushed(handle):
        what = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        done.append((what, target.read_bytes()))
        fsync(handle)

    def renamed(*names):
        done.append(("name", target.read_bytes()))
        replace(*names)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    write_whole(target, b"new")
    assert done == [("file", b"old"), ("name", b"old"), ("folder", b"new")]


def test_a_file_system_that_flushes_no_folders_will_do_but_a_broken_one_is_told(
    target, monkeypatch
):
    fsync = os.fsync

    def on_files_alone(number):
        def flush(handle):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            fsync(handle)

        return flush

    monkeypatch.setattr(os, "fsync", on_files_alone(errno.EINVAL))
    write_whole(target, b"new")
    monkeypatch.setattr(os, "fsync", on_files_alone(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        write_whole(target, b"newer")


KILLED = """
import os, signal, sys
from pathlib import Path
from mlxterp_engine.whole_files import write_whole

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], killed)
write_whole(Path(sys.argv[1]), b"new" * 100_000)
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("name", ["a.json", "a [very] *long* name? " + "n" * 100])
def test_a_kill_leaves_the_old_file_and_what_else_it_leaves_can_be_swept_away(target, step, name):
    path = target.rename(target.with_name(name))
    other = path.with_name(".b.1-2.tmp")
    other.touch()
    process = subprocess.run([sys.executable, "-c", KILLED, path, step], timeout=60)
    assert (process.returncode, path.read_bytes()) == (-9, b"old")
    assert len(beside(path)) == 2
    sweep(path)
    assert beside(path) == [other.name]


def test_two_who_write_one_file_do_not_take_it_from_each_other(target):
    def write(text):
        for _ in range(50):
            write_whole(target, text)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, (b"one", b"two")))
    assert (target.read_bytes() in (b"one", b"two"), beside(target)) == (True, [])


def test_one_thread_can_have_two_writings_of_a_file_open(target):
    """As two jobs of the engine may: they are generators on one thread."""
    with put_in_place(target) as first, put_in_place(target) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert (target.read_bytes(), beside(target)) == (b"first", [])


def test_a_link_stays_a_link_and_its_file_is_replaced(target):
    link = target.parent / "link"
    link.symlink_to(target.name)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [(0o600, None, 0o600), (0o640, None, 0o640), (0o644, 0o600, 0o600)],
)
def test_permissions_are_those_asked_for_or_those_of_before(target, before, asked, after):
    target.chmod(before)
    write_whole(target, b"new", asked)
    assert stat.S_IMODE(target.stat().st_mode) == after


def test_a_name_as_long_as_a_name_can_be_is_written(target):
    longest = target.with_name("ü" * 127)  # 254 bytes
    write_whole(longest, b"new")
    assert longest.read_bytes() == b"new"
