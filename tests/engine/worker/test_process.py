"""The engine process seen from outside: its socket, its manners, its end."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys

from mlxterp_engine import folders
from mlxterp_engine.experiments import LogitLens, Result, RunFailed
from mlxterp_engine.worker import connection, launch, log_file, peer, protocol
from mlxterp_engine.worker.archive import Archive
from mlxterp_engine.worker.client import Engine, NoEngine
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import (
    LENGTH,
    Call,
    Finished,
    Refused,
    Reply,
    decode_from_engine,
    frame,
)
from mlxterp_engine.worker.server import Server
from mlxterp_engine.worker.tasks import OpenModel
from mlxterp_engine.worker.watching import Watching
from mlxterp_engine.worker.wire import FrameTooLong, read_frame

import pytest
from processes import PATIENCE, alive, until
from stand_in import row

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = pytest.mark.usefixtures("no_engine_left")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def mebibytes_in_memory(pid):
    """The process's resident memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@contextlib.asynccontextmanager
async def raw_line():
    """A connection that may say anything."""
    reader, writer = await asyncio.open_unix_connection(folders.socket_path())
    try:
        yield reader, writer
    finally:
        writer.close()


async def reply_to(reader):
    """The next reply, past notices."""
    while (body := await asyncio.wait_for(read_frame(reader), PATIENCE)) is not None:
        message = decode_from_engine(body)
        if isinstance(message, Reply):
            return message
    return None


async def test_socket_and_folders_are_closed_to_everybody_else(engine, home):
    assert mode(home / "run" / "engine.sock") == 0o600
    assert mode(home / "run") == 0o700
    assert mode(home / "state") == 0o700
    assert mode(home / "state" / "engine.log") == 0o600


def test_the_other_end_of_a_socket_is_known_by_its_user():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer.peer_uid(ours) == os.getuid()
        assert peer.is_ours(theirs)


def test_another_user_is_not_us(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs, monkeypatch.context() as patch:
        patch.setattr("os.getuid", lambda: 4242)
        assert not peer.is_ours(ours)


@on_linux
async def test_the_engine_is_nice_in_a_session_of_its_own_and_holds_no_folder(engine, tmp_path):
    job = await engine.submit(LogitLens(prompt=f"report {tmp_path / 'facts'}"))
    await job.outcome()
    pid = (await engine.status()).pid
    facts = json.loads((tmp_path / "facts").read_text())
    assert (facts["nice"], facts["session"]) == (os.nice(0) + 5, pid)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


async def test_relative_paths_of_a_task_begin_where_its_asker_stands(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await (await engine.submit(LogitLens(prompt="report facts"))).outcome()
    assert json.loads((tmp_path / "facts").read_text())["cwd"] == str(tmp_path)


async def test_programs_that_start_at_once_start_one_engine(home, monkeypatch):
    spawned = count_spawned(monkeypatch)
    engines = await asyncio.gather(*(Engine.attach() for _ in range(4)))
    try:
        assert len({(await engine.status()).pid for engine in engines}) == 1
        assert len(spawned) == 1
    finally:
        for engine in engines:
            await engine.close()


def count_spawned(monkeypatch):
    """The engine processes that are started from now on."""
    spawned, spawn = [], launch._spawn
    monkeypatch.setattr(launch, "_spawn", lambda *a: spawned.append(a) or spawn(*a))
    return spawned


async def test_while_an_old_engine_ends_a_new_one_is_tried_again_and_again(home, monkeypatch):
    spawned = count_spawned(monkeypatch)
    with launch.lock_of(folders.socket_path()).open("a") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        attaching = asyncio.create_task(Engine.attach())
        await until(lambda: len(spawned) > 1)
    async with await attaching as engine:
        assert alive((await engine.status()).pid)


async def test_the_socket_of_a_dead_engine_is_no_obstacle(home):
    async with await Engine.attach() as engine:
        os.kill((await engine.status()).pid, signal.SIGKILL)
        await engine.lost
    assert (home / "run" / "engine.sock").exists()
    with pytest.raises(NoEngine, match="mlxterp-tui engine start"):
        await Engine.attach(start=False)
    async with await Engine.attach() as engine:
        assert isinstance(await (await engine.submit(LogitLens(prompt="rows 1"))).outcome(), Result)


async def test_an_engine_without_clients_and_jobs_stops_by_itself(home, monkeypatch):
    monkeypatch.setenv("MLXTERP_IDLE_SECONDS", "0.2")
    async with await Engine.attach() as engine:
        pid = (await engine.status()).pid
        job = await engine.submit(LogitLens(prompt="rows 1"))
        await job.outcome()
    await until(lambda: not alive(pid))
    assert not (home / "run" / "engine.sock").exists()
    log = folders.log_path().read_text()
    assert "no client and no job" in log
    assert "Traceback" not in log


async def test_an_engine_with_a_job_does_not_stop_for_want_of_clients(home, monkeypatch):
    monkeypatch.setenv("MLXTERP_IDLE_SECONDS", "0.05")
    async with await Engine.attach() as engine:
        pid = (await engine.status()).pid
        job = await engine.submit(LogitLens(prompt="linger 0.3"))
    await until(lambda: not alive(pid))
    assert isinstance(Archive(folders.jobs_folder()).ending(job.id), Finished)


async def test_a_call_that_makes_no_sense_is_refused_and_the_next_one_answered(engine):
    async with raw_line() as (reader, writer):
        writer.write(LENGTH.pack(4) + b"\xc1\xc1\xc1\xc1")
        refused = await reply_to(reader)
        assert (refused.ticket, type(refused.body)) == (connection.NO_TICKET, Refused)
        writer.write(frame(Call(7, protocol.Status())))
        assert (await reply_to(reader)).ticket == 7


async def test_a_call_whose_request_is_bad_is_refused_in_the_request_s_own_words(engine):
    good = frame(Call(3, protocol.Submit(LogitLens(prompt="a", top_k=5))))
    bad = good.replace(b"\xa5top_k\x05", b"\xa5top_k\x00")
    assert bad != good
    async with raw_line() as (reader, writer):
        writer.write(bad)
        reply = await reply_to(reader)
    assert (reply.ticket, reply.body.reason) == (3, "top_k is 0; give a whole number from 1 to 50")


async def test_a_call_longer_than_any_can_be_ends_the_connection_and_nothing_else(engine):
    async with raw_line() as (reader, writer):
        writer.write(LENGTH.pack(connection.LONGEST_CALL + 1))
        assert "the most is" in (await reply_to(reader)).body.reason
        assert await reply_to(reader) is None
    assert (await engine.status()).state


async def test_a_client_that_breaks_off_in_a_call_disturbs_nobody(engine):
    async with raw_line() as (_, writer):
        writer.write(LENGTH.pack(100) + b"half")
        await writer.drain()
    assert (await engine.status()).state


@on_linux
async def test_a_client_that_does_not_read_holds_up_nobody_and_costs_little(engine):
    jobs = [await engine.submit(LogitLens(prompt="large 16")) for _ in range(4)]
    for job in jobs:
        await job.outcome()
    pid = (await engine.status()).pid
    before = mebibytes_in_memory(pid)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            _, writer = await stack.enter_async_context(raw_line())
            for ticket, job in enumerate(jobs):
                writer.write(frame(Call(ticket, protocol.Watch(job.id))))
            await writer.drain()
        again = await engine.watch(jobs[0].id)
        assert isinstance(await again.outcome(), Result)
        # 256 MiB were asked for; of the 16 MiB frames one may be on its way to each client.
        assert mebibytes_in_memory(pid) - before < 6 * 16


@on_linux
async def test_a_client_that_asks_without_reading_is_not_answered_without_end(engine):
    await (await engine.submit(OpenModel())).outcome()
    pid = (await engine.status()).pid
    text = "a" * 100_000
    await engine.tokenize(text)
    before = mebibytes_in_memory(pid)
    async with raw_line() as (_, writer):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask_400_times(writer, protocol.Tokenize(text=text)), 1.0)
        assert (await engine.status()).pid == pid
        # The 400 answers would be more than 100 MiB.
        assert mebibytes_in_memory(pid) - before < 30
        writer.transport.abort()


async def ask_400_times(writer, question):
    for ticket in range(400):
        writer.write(frame(Call(ticket, question)))
        await writer.drain()


async def test_a_job_watched_twice_on_one_line_is_sent_once():
    queue = JobQueue()
    queue.submit(LogitLens(prompt="a"))
    job = queue.take()
    queue.post(job, row(0))
    queue.end(job, protocol.Cancelled())
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    client = connection.Connection(*await asyncio.open_unix_connection(sock=theirs), no_answer)
    client.watch(Watching(job))
    client.watch(Watching(job))
    await client.close()
    bodies = [decode_from_engine(body).body for body in await frames_of(reader)]
    assert bodies == [row(0), protocol.Cancelled()]
    writer.close()


async def no_answer(call, client):
    raise AssertionError("nothing was asked")


async def frames_of(reader):
    """Every frame until the other end hangs up."""
    found = []
    while (body := await asyncio.wait_for(read_frame(reader), PATIENCE)) is not None:
        found.append(body)
    return found


async def test_another_user_s_connection_is_turned_away(home, monkeypatch, tmp_path):
    monkeypatch.setattr("mlxterp_engine.worker.server.is_ours", lambda connected: False)
    ours, theirs = socket.socketpair()
    server = Server(theirs, False, Archive(tmp_path), tmp_path / "log", no_file, no_file)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    await server._welcome(*await asyncio.open_unix_connection(sock=theirs))
    assert await frames_of(reader) == []
    writer.close()


def no_file(*_):
    raise AssertionError("nothing was to be written")


async def test_a_frame_too_long_is_not_read():
    reader = asyncio.StreamReader()
    reader.feed_data(LENGTH.pack(11))
    with pytest.raises(FrameTooLong, match="11 bytes came; the most is 10"):
        await read_frame(reader, 10)


async def test_steps_are_sent_at_most_ten_times_a_second(engine, tmp_path):
    """The stand-in posts a step each 2 ms."""
    job = await engine.submit(LogitLens(prompt=f"hold {tmp_path / 'go'}"))
    loop, came = asyncio.get_running_loop(), []
    async for event in job.events():
        if event != row(0):
            came.append(loop.time())
        if len(came) == 4:
            (tmp_path / "go").touch()
    assert came[3] - came[0] > 0.25


def test_an_engine_that_dies_at_the_start_is_told_with_the_last_line_of_its_log(home, monkeypatch):
    monkeypatch.setattr("mlxterp_engine.worker.launch.sys.executable", "/bin/false")
    with pytest.raises(RunFailed, match=r"could not start: it ended with exit status 1; see .*log"):
        launch.find()


def test_nobody_answers_when_there_is_no_engine(home):
    with pytest.raises(NoEngine):
        launch.find(start=False)


def test_a_private_engine_dies_with_its_client_even_when_that_is_killed(home, tmp_path):
    script = (
        "import sys\n"
        "from mlxterp_engine.worker.blocking import BlockingEngine\n"
        "from mlxterp_engine.experiments import LogitLens\n"
        "with BlockingEngine.private() as engine:\n"
        "    print(engine.status().pid, flush=True)\n"
        f"    engine.run(LogitLens(prompt='hold {tmp_path / 'go'}'))\n"
    )
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    with client.stdout:
        pid = int(client.stdout.readline())
    assert alive(pid)
    client.kill()
    client.wait()
    asyncio.run(until(lambda: not alive(pid)))


def test_a_large_log_is_put_aside_before_a_start_and_replaces_the_one_before(tmp_path):
    log = tmp_path / "engine.log"
    log_file.aside(log).write_text("older")
    log.write_text("x" * 11)
    log_file.rotate(log, largest=10)
    assert log_file.aside(log).read_text() == "x" * 11
    assert not log.exists()


def test_a_small_log_is_left_alone(tmp_path):
    log = tmp_path / "engine.log"
    log.write_text("x" * 10)
    log_file.rotate(log, largest=10)
    assert log.read_text() == "x" * 10


def test_a_process_goes_on_writing_to_a_fresh_log_when_its_own_grew_large(tmp_path):
    log = tmp_path / "engine.log"
    script = (
        "import sys; from pathlib import Path\n"
        "from mlxterp_engine.worker.log_file import reopen_when_large\n"
        "print('x' * 100, file=sys.stderr, flush=True)\n"
        "reopen_when_large(Path(sys.argv[1]), 50)\n"
        "print('later', file=sys.stderr, flush=True)\n"
    )
    with log.open("a") as file:
        subprocess.run([sys.executable, "-c", script, str(log)], stderr=file, check=True)
    assert log.read_text() == "later\n"
    assert log_file.aside(log).read_text() == "x" * 100 + "\n"


@pytest.mark.parametrize(
    ("since", "lines", "expected"),
    [(0, 2, ["two", "three"]), (4, 9, ["two", "three"]), (99, 1, ["three"])],
)
def test_the_tail_of_a_log_is_its_last_lines_since_a_place(tmp_path, since, lines, expected):
    log = tmp_path / "engine.log"
    log.write_text("one\ntwo\nthree\n")
    assert log_file.tail(log, since, lines) == expected
    assert log_file.tail(tmp_path / "none.log") == []


def test_importing_the_client_loads_neither_numpy_nor_mlx():
    script = (
        "import sys; import mlxterp_engine.worker.client, mlxterp_engine.worker.blocking\n"
        "print(*{'mlx', 'numpy', 'textual'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
