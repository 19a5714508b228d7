"""The main thread's half: takes jobs off the queue and drives the workbench, which owns MLX."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Protocol, cast

from mlxterp_engine.experiments import (
    AnyPart,
    EngineError,
    ModelCard,
    Price,
    Request,
    Result,
    RunCancelled,
    RunFailed,
    Started,
    Step,
)
from mlxterp_engine.runlog.recording import Known, Recorder, Steps
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.worker.archive import Archive
from mlxterp_engine.worker.jobs import Job, JobQueue, task_name
from mlxterp_engine.worker.protocol import (
    AnyNotice,
    Cancelled,
    Ending,
    EngineChanged,
    EngineState,
    Failed,
    Finished,
    LogTrouble,
    ModelChanged,
    TooLarge,
)
from mlxterp_engine.worker.tasks import Outcome, Task

logger = logging.getLogger(__name__)

MEMORY_INTERVAL = 0.5  # seconds between two looks at what MLX holds


Working = Generator[Started | Step | AnyPart, None, Outcome]


class Workbench(Protocol):
    """What the runner drives. `price`, `tokenize` and `pieces` are called from another thread."""

    @property
    def card(self) -> ModelCard | None: ...

    def price(self, task: Task) -> Price | None: ...

    def perform(self, task: Task, unfinished: Unfinished | None = None) -> Working: ...

    @property
    def at_rest(self) -> bool:
        """Whether another task may begin in the middle of the one that runs."""
        ...

    def aside(self, price: Price | None) -> AbstractContextManager[None]:
        """Around another task in the middle of one of this price: when it has ended, all is again
        as it was."""
        ...

    def tokenize(self, text: str, bos: str, chat: bool) -> tuple[list[int], list[str]]: ...

    def pieces(self, text: str) -> tuple[list[int], list[str]]: ...

    def memory(self) -> tuple[int, int]: ...


class Runner:
    """Runs one job after another, and short ones in the middle of a long one.

    Its attributes may be read from any thread.
    """

    def __init__(
        self,
        queue: JobQueue,
        archive: Archive | None,
        tell: Callable[[AnyNotice], None],
        write: Callable[[Result, str], None],
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder or Recorder(tell=lambda reason: tell(LogTrouble(reason)))
        self.workbench: Workbench | None = None
        self.state: EngineState = "starting"
        self.reason = ""
        self.details = ""
        self.card: ModelCard | None = None
        self.memory = (0, 0)
        self._queue = queue
        self._archive = archive
        self._tell = tell
        self._write = write
        self._memory_due = 0.0

    def work(self, open_workbench: Callable[[], Workbench]) -> None:
        """Until the queue is stopped. When there is no workbench, every job fails and says why."""
        try:
            self.workbench = open_workbench()
        except Exception as error:  # whatever an import can raise is told to the clients
            self._broken(error)
        else:
            self._become("ready")
        while (job := self._queue.take()) is not None:
            self._run(job)

    def _broken(self, error: Exception) -> None:
        logger.exception("the engine could not start")
        self.reason = f"the engine could not start: {_one_line(error)}"
        self.details = traceback.format_exc()
        self._become("broken")

    def _become(self, state: EngineState) -> None:
        self.state = state
        self._tell(EngineChanged(state, self.reason, self.details))

    def _run(self, job: Job) -> None:
        logger.info("job %s begins: %s", job.id, task_name(job.task))
        ending = self._ending(job)
        logger.info("job %s ends: %s", job.id, _described(ending))
        self._notice_model()
        self._look_at_memory()
        try:
            self._end(job, ending)
        except TooLarge as error:
            self._end(job, Failed(f"the result can't be sent: {error}; ask for fewer arrays"))

    def _end(self, job: Job, ending: Ending) -> None:
        self._keep(job, ending)
        self._queue.end(job, ending)

    def _ending(self, job: Job) -> Ending:
        try:
            return Finished(self._outcome(job), job.run)
        except RunCancelled:
            return Cancelled(job.run)
        except EngineError as error:
            return Failed(str(error), error.details, error.exit_status, job.run)
        except Exception as error:  # a fault of ours must end the job, not the engine
            logger.exception("job %s failed", job.id)
            return Failed(
                f"{type(error).__name__} while running {task_name(job.task)}: {_one_line(error)}",
                traceback.format_exc(),
                run=job.run,
            )

    def _outcome(self, job: Job) -> Outcome:
        if self.workbench is None:
            raise RunFailed(self.reason, self.details)
        _enter(job.folder)
        unfinished = None if job.recording is None else self.recorder.unfinished()
        parts = self._recorded(job, self.workbench.perform(job.task, unfinished))
        try:
            while not job.cancelled.is_set():
                self._queue.post(job, next(parts))
                self._look_around()
                self._let_others_in(job)
        except StopIteration as end:
            return self._saved(job, end.value)
        finally:
            parts.close()
            os.chdir("/")  # hold nobody's folder
        raise RunCancelled(f"job {job.id} was cancelled")

    def _let_others_in(self, job: Job) -> None:
        """Between two parts of a long job, those that came meanwhile and are short."""
        assert self.workbench is not None  # it is at work
        while job.lets_others_in and self.workbench.at_rest and not job.cancelled.is_set():
            other = self._queue.take_short()
            if other is None:
                return
            with self.workbench.aside(job.price), self._queue.letting_in(job, other):
                self._run(other)
            _enter(job.folder)

    def _recorded(self, job: Job, steps: Working) -> Working:
        """The job's steps, written down on the way where that was asked for."""
        if job.recording is None or not isinstance(job.task, Request):
            return steps
        return self.recorder.follow(
            job.task,
            cast(Steps, steps),
            job.recording,
            known=lambda: self._known(job),
            noted=lambda run: self._queue.noted(job, run),
        )

    def _known(self, job: Job) -> Known:
        assert self.workbench is not None  # it is at work
        return Known(job.price or self.workbench.price(job.task), self.workbench.card)

    def _saved(self, job: Job, outcome: Outcome) -> Outcome:
        if job.out is not None and isinstance(outcome, Result):
            self._write(outcome, job.out)
        return outcome

    def _keep(self, job: Job, ending: Ending) -> None:
        if self._archive is None or job.passing:
            return
        try:
            self._archive.end(job.ended_info(ending), ending)
        except OSError:
            logger.exception("job %s could not be kept on disk", job.id)

    def _look_around(self) -> None:
        """Between two evaluations: what changed that clients want to know?"""
        self._notice_model()
        if time.monotonic() >= self._memory_due:
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        if self.workbench is not None:
            self.memory = self.workbench.memory()
        self._memory_due = time.monotonic() + MEMORY_INTERVAL

    def _notice_model(self) -> None:
        card = self.workbench.card if self.workbench else None
        if card is not self.card:
            self.card = card
            self._tell(ModelChanged(card))


def _enter(folder: str) -> None:
    """Paths in a task begin where its asker stands; "/" when that folder is gone."""
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _described(ending: Ending) -> str:
    return ending.reason if isinstance(ending, Failed) else type(ending).__name__.lower()
