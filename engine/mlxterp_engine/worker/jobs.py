"""The job queue: what waits, what runs, what has ended, and the events on the way.

Pure bookkeeping between two threads: clients' calls arrive on one, the other takes jobs and
posts events. Nothing here knows of sockets or of MLX.

One job runs at a time. But a job in the background (a training, a card) lets those that are not
in between its parts: it waits, still running, until they have ended.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mlxterp_engine.experiments import AnyPart, BadInput, Price, Started, Step
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.thinning import Thinned, kind_of
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
from mlxterp_engine.worker.tasks import Task, in_background

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
        passing: bool = False,
    ) -> None:
        self.id = id
        self.passing = passing
        self.folder = folder
        self.recording = recording
        self.run: int | None = None
        self.task = task
        self.out = out
        self.price = price
        self.state: JobState = "queued"
        self.progress = 0.0
        self.what = ""
        self.waits_for = ""
        self.reason = ""
        self.submitted = time.time()
        self.started: float | None = None
        self.ended: float | None = None
        self.bytes = 0
        self.begun = False
        self.cancelled = threading.Event()
        self._events: Thinned[Posted] = Thinned()
        self._step: Posted | None = None
        self._announced = 0
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
            what=f"waiting for {self.waits_for}" if self.waits_for else self.what,
            model=getattr(self.task, "model", ""),
            prompt=getattr(self.task, "about", "")[:LONGEST_PROMPT],
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

    @property
    def lets_others_in(self) -> bool:
        """Whether this is the time for others: in the background, and not still opening a model,
        which holds locks on files."""
        return self.begun and in_background(self.task)

    def append(self, body: AnyEvent) -> None:
        """Keep an event for whoever watches, now or later. A new step replaces the old one."""
        with self._lock:
            seq = self._events.next_number
            posted = Posted(seq, isinstance(body, Step), frame(Event(self.id, seq, body)))
            gone = self._events.append(posted, kind_of(body))
            if posted.step:
                gone += [self._events.remove(self._step.seq)] if self._step else []
                self._step = posted
            self.bytes += len(posted.frame) - sum(len(old.frame) for old in gone)

    @property
    def appended(self) -> int:
        """How many events there have been."""
        with self._lock:
            return self._events.next_number

    def announce(self, events: int) -> None:
        """So many of its events may be sent. Notices that came before them were heard."""
        self._announced = max(self._announced, events)

    def at_or_after(self, seq: int) -> tuple[Posted, bool] | None:
        """The first announced event from `seq` on, and whether there is none after it yet."""
        with self._lock:
            place = self._events.place(seq)
            here = self._events.items[place : place + 2]
        here = [posted for posted in here if posted.seq < self._announced]
        return (here[0], len(here) == 1) if here else None

    def seen_to_the_end(self, seq: int) -> bool:
        """Whether the job is over and nothing is left from `seq` on."""
        return self.over and seq >= self.appended


def task_name(task: Task) -> str:
    """The name that the task has on the command line and in the job list."""
    return str(task.__struct_config__.tag)


def announce_all(job: Job) -> None:
    """What a queue does whose events nobody else hears of first."""
    job.announce(job.appended)


class JobQueue:
    """Jobs in the order in which they came, and those that ended lately.

    on_change is called after each change of a job, on the thread that made it, unlocked. It has
    to announce the job's events before they can be watched.
    """

    def __init__(
        self,
        on_change: Callable[[Job], None] = announce_all,
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
        self._running: list[Job] = []  # at most one, and one that it was let in by
        self._stopped = False
        self._changed = threading.Condition()

    def submit(
        self,
        task: Task,
        out: str | None = None,
        price: Price | None = None,
        folder: str = "/",
        recording: Recording | None = None,
        passing: bool = False,
    ) -> Job:
        """passing: in no list. BadInput when too many wait already, or the engine is stopping."""
        with self._changed:
            if self._stopped:
                raise BadInput("the engine is stopping and takes no more jobs; try again")
            if len(self._waiting) >= MOST_WAITING:
                raise BadInput(
                    f"{MOST_WAITING} jobs are waiting already; "
                    "cancel some: mlxterp-tui jobs cancel ID"
                )
            job = Job(self._ids.next(), task, out, price, folder, recording, passing)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        self.on_change(job)
        return job

    def take(self) -> Job | None:
        """Wait for the next job and start it, those for the background last; None once the queue
        is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._waiting)
            if self._stopped:
                return None
            job = self._next_short() or self._waiting[0]
            self._start(job)
        self.on_change(job)
        return job

    def take_short(self) -> Job | None:
        """Start the next job that is not for the background, if one waits."""
        with self._changed:
            job = None if self._stopped else self._next_short()
            if job is None:
                return None
            self._start(job)
        self.on_change(job)
        return job

    def _next_short(self) -> Job | None:
        return next((job for job in self._waiting if not in_background(job.task)), None)

    def _start(self, job: Job) -> None:
        self._waiting.remove(job)
        self._running.append(job)
        job.state, job.started = "running", time.time()

    @contextmanager
    def letting_in(self, job: Job, other: Job) -> Iterator[None]:
        """While this job waits in the middle of its work, until another has ended."""
        self._wait_for(job, task_name(other.task))
        try:
            yield
        finally:
            self._wait_for(job, "")

    def _wait_for(self, job: Job, name: str) -> None:
        with self._changed:
            job.waits_for = name
        self.on_change(job)

    def post(self, job: Job, body: Progress) -> None:
        with self._changed:
            if isinstance(body, Step):
                job.progress = _share(body)
                job.what = body.what
            job.begun = job.begun or isinstance(body, Started)
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
            if job in self._running:
                self._running.remove(job)
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

    def stop(self) -> None:
        """Take no more jobs, cancel those that wait or run, and let `take` return None."""
        with self._changed:
            self._stopped = True
            unfinished = [*self._waiting, *self._running]
            self._changed.notify_all()
        for job in unfinished:
            self.cancel(job.id)

    def find(self, job_id: str) -> Job | None:
        with self._changed:
            return self._jobs.get(job_id)

    def infos(self) -> list[JobInfo]:
        """Newest first, those in passing left out."""
        with self._changed:
            return [job.info() for job in reversed(self._jobs.values()) if not job.passing]

    @property
    def busy(self) -> bool:
        with self._changed:
            return bool(self._running or self._waiting)

    def _forget_oldest(self) -> None:
        """Keep the latest ended jobs, as far as number and bytes allow; always the last. Those in
        passing go first."""
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


def _when_ended(job: Job) -> tuple[bool, float]:
    return not job.passing, job.ended or 0.0
