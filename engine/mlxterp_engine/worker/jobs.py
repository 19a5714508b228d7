"""The job queue: what waits, what runs, what has ended, and every event on the way.

Pure bookkeeping between two threads: clients' calls arrive on one, the other takes jobs and
posts events. Nothing here knows of sockets or of MLX.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mlxterp_engine.experiments import AnyPart, BadInput, Price, Started, Step
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.worker.job_ids import JobIds
from mlxterp_engine.worker.protocol import (
    ENDED,
    AnyEvent,
    Cancelled,
    Ending,
    Event,
    Failed,
    Finished,
    JobInfo,
    JobState,
    frame,
)
from mlxterp_engine.worker.tasks import Task

import msgspec

MOST_WAITING = 1000
MOST_ENDED = 100
MOST_ENDED_BYTES = 256 << 20
LONGEST_PROMPT = 200

Progress = Started | Step | AnyPart


class Posted(NamedTuple):
    """An event as it goes over the wire. step: only the latest of these is worth sending."""

    seq: int
    step: bool
    frame: bytes


class Job:
    """A task and what became of it so far. Changed by its queue alone."""

    def __init__(
        self,
        id: str,
        task: Task,
        out: str | None,
        price: Price | None,
        folder: str,
        recording: Recording | None,
    ) -> None:
        self.id = id
        self.folder = folder
        self.recording = recording
        self.run: int | None = None
        self.task = task
        self.out = out
        self.price = price
        self.state: JobState = "queued"
        self.progress = 0.0
        self.what = ""
        self.reason = ""
        self.submitted = time.time()
        self.started: float | None = None
        self.ended: float | None = None
        self.bytes = 0
        self.cancelled = threading.Event()
        self._events: list[Posted] = []
        self._step: Posted | None = None
        self._next_seq = 0
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        return self.state in ENDED

    def info(self) -> JobInfo:
        return JobInfo(
            id=self.id,
            experiment=task_name(self.task),
            state=self.state,
            progress=self.progress,
            what=self.what,
            model=getattr(self.task, "model", ""),
            prompt=getattr(self.task, "subject", "")[:LONGEST_PROMPT],
            price=self.price,
            submitted=self.submitted,
            started=self.started,
            ended=self.ended,
            reason=self.reason,
            run=self.run,
        )

    def ended_info(self, ending: Ending) -> JobInfo:
        """Its line of the job list once it has ended so."""
        state, reason = _state_after(ending)
        progress = 1.0 if state == "done" else self.progress
        return msgspec.structs.replace(
            self.info(), state=state, reason=reason, progress=progress, ended=time.time()
        )

    def append(self, body: AnyEvent) -> None:
        """Keep an event for whoever watches, now or later. A new step replaces the old one."""
        with self._lock:
            message = frame(Event(self.id, self._next_seq, body))
            posted = Posted(self._next_seq, isinstance(body, Step), message)
            if posted.step:
                self._replace_step(posted)
            self._events.append(posted)
            self.bytes += len(message)
            self._next_seq += 1

    def at_or_after(self, seq: int) -> tuple[Posted, bool] | None:
        """The first event from `seq` on, and whether it is the last so far."""
        with self._lock:
            place = bisect_left(self._events, seq, key=_seq)
            if place == len(self._events):
                return None
            return self._events[place], place == len(self._events) - 1

    def seen_to_the_end(self, seq: int) -> bool:
        """Whether the job is over and nothing is left from `seq` on."""
        return self.over and self.at_or_after(seq) is None

    def _replace_step(self, step: Posted) -> None:
        if self._step is not None:
            self._events.remove(self._step)
            self.bytes -= len(self._step.frame)
        self._step = step


def task_name(task: Task) -> str:
    """The name that the task has on the command line and in the job list."""
    return str(task.__struct_config__.tag)


class JobQueue:
    """Jobs in the order in which they came, and those that ended lately.

    on_change is called after each change of a job, on the thread that made it, unlocked.
    """

    def __init__(
        self,
        on_change: Callable[[Job], None] = lambda job: None,
        ids: JobIds | None = None,
        most_ended: int = MOST_ENDED,
        most_ended_bytes: int = MOST_ENDED_BYTES,
    ) -> None:
        self.on_change = on_change
        self._ids = ids or JobIds()
        self._most_ended = most_ended
        self._most_ended_bytes = most_ended_bytes
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._stopped = False
        self._changed = threading.Condition()

    def submit(
        self,
        task: Task,
        out: str | None = None,
        price: Price | None = None,
        folder: str = "/",
        recording: Recording | None = None,
    ) -> Job:
        """Raises BadInput when too many wait already, or when the engine is stopping."""
        with self._changed:
            if self._stopped:
                raise BadInput("the engine is stopping and takes no more jobs; try again")
            if len(self._waiting) >= MOST_WAITING:
                raise BadInput(
                    f"{MOST_WAITING} jobs are waiting already; "
                    "cancel some: mlxterp-tui jobs cancel ID"
                )
            job = Job(self._ids.next(), task, out, price, folder, recording)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        self.on_change(job)
        return job

    def take(self) -> Job | None:
        """Wait for the next job and start it; None once the queue is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._waiting)
            if self._stopped:
                return None
            job = self._running = self._waiting.popleft()
            job.state, job.started = "running", time.time()
        self.on_change(job)
        return job

    def post(self, job: Job, body: Progress) -> None:
        with self._changed:
            if isinstance(body, Step):
                job.progress = _share(body)
                job.what = body.what
            job.append(body)
        self.on_change(job)

    def noted(self, job: Job, run: int | None) -> None:
        """The research log keeps the job as this run, or could not keep it."""
        with self._changed:
            job.run = run
        self.on_change(job)

    def end(self, job: Job, ending: Ending) -> None:
        """The last event of a job. Raises TooLarge when no frame holds it."""
        with self._changed:
            job.append(ending)
            job.state, job.reason = _state_after(ending)
            job.progress = 1.0 if job.state == "done" else job.progress
            job.ended = time.time()
            if self._running is job:
                self._running = None
            self._forget_oldest()
        self.on_change(job)

    def cancel(self, job_id: str) -> bool:
        """Ask for a job's end: at once when it waits. False when there is no such job."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None:
                return False
            job.cancelled.set()
            waiting = job in self._waiting
            if waiting:
                self._waiting.remove(job)
        if waiting:
            self.end(job, Cancelled())
        return True

    def fail_waiting(self, ending: Failed) -> None:
        """End every waiting job in this way."""
        while True:
            with self._changed:
                if not self._waiting:
                    return
                job = self._waiting.popleft()
            self.end(job, ending)

    def stop(self) -> None:
        """Take no more jobs, cancel those that wait or run, and let `take` return None."""
        with self._changed:
            self._stopped = True
            unfinished = [*self._waiting, *([self._running] if self._running else [])]
            self._changed.notify_all()
        for job in unfinished:
            self.cancel(job.id)

    def find(self, job_id: str) -> Job | None:
        with self._changed:
            return self._jobs.get(job_id)

    def infos(self) -> list[JobInfo]:
        """Newest first."""
        with self._changed:
            return [job.info() for job in reversed(self._jobs.values())]

    @property
    def busy(self) -> bool:
        with self._changed:
            return bool(self._running or self._waiting)

    def _forget_oldest(self) -> None:
        """Keep the latest ended jobs, as far as number and bytes allow; always the last."""
        ended = sorted((job for job in self._jobs.values() if job.over), key=_when_ended)
        total = sum(job.bytes for job in ended)
        while len(ended) > 1 and (len(ended) > self._most_ended or total > self._most_ended_bytes):
            oldest = ended.pop(0)
            total -= oldest.bytes
            del self._jobs[oldest.id]


def _share(step: Step) -> float:
    return min(max(step.done / step.total, 0.0), 1.0) if step.total > 0 else 0.0


def _state_after(ending: Ending) -> tuple[JobState, str]:
    match ending:
        case Finished():
            return "done", ""
        case Cancelled():
            return "cancelled", ""
        case Failed(reason=reason):
            return "failed", reason


def _when_ended(job: Job) -> float:
    return job.ended or 0.0


def _seq(posted: Posted) -> int:
    return posted.seq
