"""Jobs kept on disk, so that what ran can be fetched after the engine has stopped.

One file a job: a frame with its line of the job list, then, once it has ended, a frame with
its last event. A file without the second frame belongs to a job that runs, or whose engine
died. A result that the research log keeps is not written a second time: its run is named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.whole_files import write_whole
from mlxterp_engine.worker.job_ids import is_job_id
from mlxterp_engine.worker.protocol import LENGTH, Ending, Failed, Finished, JobInfo, framed

import msgspec

SUFFIX = ".job"
MOST_JOBS = 100
MOST_BYTES = 1 << 30
LOST = "the engine stopped before this job ended; run it again"


class _Logged(msgspec.Struct, frozen=True, tag="logged"):
    """Finished, with the result that this run of the research log has."""

    run: int


_encoder = msgspec.msgpack.Encoder()
_info_decoder = msgspec.msgpack.Decoder(JobInfo)
_ending_decoder: msgspec.msgpack.Decoder[Ending | _Logged] = msgspec.msgpack.Decoder(
    Ending | _Logged
)


def _from_log(run: int) -> Result:
    with RunLog.open() as log:
        return log.result(run)


class Archive:
    """The jobs of a folder, the latest `most_jobs` of them and at most `most_bytes`."""

    def __init__(
        self,
        folder: Path,
        most_jobs: int = MOST_JOBS,
        most_bytes: int = MOST_BYTES,
        result_of: Callable[[int], Result] = _from_log,
    ) -> None:
        self.folder = folder
        self._result_of = result_of
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes

    def begin(self, info: JobInfo) -> None:
        """Note that a job was accepted, unless it has ended in the meantime."""
        with contextlib.suppress(FileExistsError), self._path(info.id).open("xb") as file:
            file.write(framed(_encoder.encode(info)))

    def end(self, info: JobInfo, ending: Ending) -> None:
        """Keep how a job ended, whole or not at all, and let go of the oldest ones."""
        last = framed(_encoder.encode(_without_logged_result(ending)))
        write_whole(self._path(info.id), framed(_encoder.encode(info)) + last)
        self._forget_oldest()

    def infos(self) -> list[JobInfo]:
        """Newest first. Files that are not ours, or broken, are passed over."""
        found = (_read_info(path) for path in reversed(self._paths()))
        return [info for info in found if info is not None]

    def ending(self, job_id: str) -> Ending:
        """How a job ended. BadInput when there is no such job, its file is broken, or the log no
        longer has its result."""
        path = self.path_of(job_id)
        with path.open("rb") as file:
            _read_frame(file)
            encoded = _read_frame(file)
        if encoded is None:
            return Failed(LOST)
        try:
            ending = _ending_decoder.decode(encoded)
        except msgspec.MsgspecError as error:
            raise BadInput(f"{path} can't be read ({error}); remove it") from error
        if isinstance(ending, _Logged):
            return Finished(self._result_of(ending.run), ending.run)
        return ending

    def path_of(self, job_id: str) -> Path:
        """The job's file. BadInput when there is none."""
        if not is_job_id(job_id) or not self._path(job_id).is_file():
            raise BadInput(f"there is no job {job_id!r}; list them: mlxterp-tui jobs list")
        return self._path(job_id)

    def last_id(self) -> str:
        """The newest job's id; empty when there is none."""
        paths = self._paths()
        return paths[-1].stem if paths else ""

    def _path(self, job_id: str) -> Path:
        return self.folder / f"{job_id}{SUFFIX}"

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"*{SUFFIX}") if is_job_id(path.stem))

    def _forget_oldest(self) -> None:
        paths = self._paths()
        sizes = [path.stat().st_size for path in paths]
        surplus = _surplus(sizes, self._most_jobs, self._most_bytes)
        for path in paths[:surplus]:
            path.unlink(missing_ok=True)


def _without_logged_result(ending: Ending) -> Ending | _Logged:
    match ending:
        case Finished(outcome=Result(), run=int(run)):
            return _Logged(run)
        case _:
            return ending


def merged(running: Iterable[JobInfo], kept: Iterable[JobInfo]) -> list[JobInfo]:
    """One list of jobs, newest first; what the engine knows goes before what was kept."""
    by_id = {info.id: info for info in kept} | {info.id: info for info in running}
    return sorted(by_id.values(), key=lambda info: info.id, reverse=True)


def _surplus(sizes: list[int], most: int, most_bytes: int) -> int:
    """How many of the oldest have to go; the newest always stays."""
    total, kept = 0, 0
    for size in reversed(sizes):
        total += size
        if kept and (kept == most or total > most_bytes):
            break
        kept += 1
    return len(sizes) - kept


def _read_frame(file: BinaryIO) -> bytes | None:
    header = file.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    body = file.read(length)
    return body if len(body) == length else None


def _read_info(path: Path) -> JobInfo | None:
    with path.open("rb") as file:
        encoded = _read_frame(file)
        ended = bool(file.read(1))
    if encoded is None:
        return None
    try:
        info = _info_decoder.decode(encoded)
    except msgspec.MsgspecError:
        return None
    return info if ended else msgspec.structs.replace(info, state="failed", reason=LOST)
