"""What crosses the socket, in both directions.

A frame is a 4-byte little-endian length and that many bytes of msgpack. The client sends
`Call`s; each gets one `Reply` with its ticket. Whoever submitted or watches a job gets that
job's `Event`s in order; their `seq` counts from 0, so that a client that attaches later can
ask for what it missed. `Notice`s go to every client.
"""

from __future__ import annotations

import struct
from typing import Literal

from mlxterp_engine.experiments import AnyPart, ModelCard, Price, Started, Step
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.worker.tasks import Outcome, Task

import msgspec

VERSION = 4
"""One more whenever a message, or what an experiment can be asked, has other fields than before."""
MAX_FRAME = 1 << 30
LENGTH = struct.Struct("<I")

JobState = Literal["queued", "running", "done", "cancelled", "failed"]
EngineState = Literal["starting", "ready", "broken"]
ENDED = ("done", "cancelled", "failed")


# What a client asks.


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    protocol: int = VERSION


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Queue a task. `out`: an absolute .npz path that the engine writes at the end.

    folder: where the task's relative paths begin. recording: what the log is to keep beside the
    run; None leaves nothing behind. Tasks that are no experiments are never recorded. passing: a
    look in passing, as while a prompt is typed: it is in no list of jobs, and not kept on disk.
    """

    task: Task
    out: str | None = None
    folder: str = "/"
    recording: Recording | None = None
    passing: bool = False


class Estimate(msgspec.Struct, frozen=True, tag="estimate"):
    """The price of a task on the open model, without running it."""

    task: Task


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    job: str


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Send this job's events from `seq` on, those already past included."""

    job: str
    seq: int = 0


class Jobs(msgspec.Struct, frozen=True, tag="jobs"):
    pass


class Tokenize(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """Tokens of a text under the open model; answered at once, even while a job runs.

    verbatim: the text is a piece of another, such as an answer, and not a prompt of its own.
    """

    text: str
    bos: Literal["auto", "on", "off"] = "auto"
    chat: bool = False
    verbatim: bool = False


class Status(msgspec.Struct, frozen=True, tag="status"):
    pass


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Stop the engine; refused while jobs run, unless forced."""

    force: bool = False


class Save(msgspec.Struct, frozen=True, tag="save"):
    """Write the result of a job that has ended to an absolute .npz path."""

    job: str
    out: str


class CompareRuns(msgspec.Struct, frozen=True, tag="compare-runs"):
    """How far the result of run `second` lies from that of run `first`; answered at once."""

    first: int
    second: int


AnyCall = (
    Hello
    | Submit
    | Estimate
    | Cancel
    | Watch
    | Jobs
    | Tokenize
    | Status
    | Shutdown
    | Save
    | CompareRuns
)


class Call(msgspec.Struct, frozen=True):
    ticket: int
    body: AnyCall


# What the engine answers.


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the job list. progress: 0..1. started, ended: seconds since the epoch.

    run: its number in the research log, from when its computation began.
    """

    id: str
    experiment: str
    state: JobState
    progress: float
    what: str = ""
    model: str = ""
    prompt: str = ""
    price: Price | None = None
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    run: int | None = None


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True, tag="engine-status"):
    """The engine as it is now. memory: bytes that MLX holds; peak: the most it held.

    state: `starting` while MLX is being imported, `broken` when that failed (see `reason`).
    log_trouble: why the last run was not recorded, when it should have been.
    """

    pid: int
    version: str
    started: float
    model: ModelCard | None
    log: str
    jobs: list[JobInfo]
    memory: int = 0
    peak: int = 0
    state: EngineState = "ready"
    reason: str = ""
    log_trouble: str = ""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    job: str
    price: Price | None


class Priced(msgspec.Struct, frozen=True, tag="priced"):
    price: Price | None


class Tokenized(msgspec.Struct, frozen=True, tag="tokenized"):
    """ids, and for each the exact text it stands for (a byte fragment as ⟨e4⟩)."""

    ids: list[int]
    tokens: list[str]


class Compared(msgspec.Struct, frozen=True, tag="compared"):
    comparison: Comparison


class JobList(msgspec.Struct, frozen=True, tag="job-list"):
    jobs: list[JobInfo]


class Done(msgspec.Struct, frozen=True, tag="ok"):
    """Understood and carried out; there is nothing more to say."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Not done. exit_status is what a command line should exit with."""

    reason: str
    details: str = ""
    exit_status: int = 2


AnyReply = EngineStatus | Accepted | Priced | Tokenized | Compared | JobList | Done | Refused


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    ticket: int
    body: AnyReply


# What the engine tells of a job.


# `run`, in each ending: the run of the log that keeps it. It is on disk when this is sent.


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    outcome: Outcome
    run: int | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    reason: str
    details: str = ""
    exit_status: int = 3
    run: int | None = None


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    run: int | None = None


Ending = Finished | Failed | Cancelled
AnyEvent = Started | Step | AnyPart | Ending


class Event(msgspec.Struct, frozen=True, tag="event"):
    job: str
    seq: int
    body: AnyEvent


class JobChanged(msgspec.Struct, frozen=True, tag="job-changed"):
    info: JobInfo


class ModelChanged(msgspec.Struct, frozen=True, tag="model-changed"):
    """Another model is open now, or none."""

    card: ModelCard | None


class EngineStopping(msgspec.Struct, frozen=True, tag="engine-stopping"):
    """The engine will close the connection: somebody stopped it."""

    reason: str


class EngineChanged(msgspec.Struct, frozen=True, tag="engine-changed"):
    """The engine became ready, or could not."""

    state: EngineState
    reason: str = ""
    details: str = ""


class LogTrouble(msgspec.Struct, frozen=True, tag="log-trouble"):
    """A run could not be recorded, or the log had to be mended. Said once for each reason."""

    reason: str


AnyNotice = JobChanged | ModelChanged | EngineStopping | EngineChanged | LogTrouble


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    body: AnyNotice


FromEngine = Reply | Event | Notice

_encoder = msgspec.msgpack.Encoder()
_call_decoder = msgspec.msgpack.Decoder(Call)
_engine_decoder = msgspec.msgpack.Decoder(FromEngine)


class TooLarge(ValueError):
    """A message that no frame holds."""


def frame(message: Call | Reply | Event | Notice) -> bytes:
    """The message as it goes over the socket."""
    return framed(_encoder.encode(message))


def framed(body: bytes) -> bytes:
    """Encoded bytes with their length before them. Raises TooLarge."""
    if len(body) > MAX_FRAME:
        raise TooLarge(f"it takes {len(body)} bytes and the most is {MAX_FRAME}")
    return LENGTH.pack(len(body)) + body


def decode_call(body: bytes) -> Call:
    return _call_decoder.decode(body)


def decode_from_engine(body: bytes) -> Reply | Event | Notice:
    return _engine_decoder.decode(body)
