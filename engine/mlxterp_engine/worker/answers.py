"""What each call is answered. Never touches MLX, so that it can speak while a job runs."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from importlib.metadata import version

from mlxterp_engine.experiments import BadInput, EngineError, Price, Request, Result, RunFailed
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.worker import protocol
from mlxterp_engine.worker.archive import Archive, merged
from mlxterp_engine.worker.connection import Connection
from mlxterp_engine.worker.jobs import Job, JobQueue, task_name
from mlxterp_engine.worker.protocol import AnyCall, AnyReply, Ending, JobInfo
from mlxterp_engine.worker.runner import Runner
from mlxterp_engine.worker.tasks import Task
from mlxterp_engine.worker.watching import Remembered, Watching

logger = logging.getLogger(__name__)


class Answers:
    """Answers calls on behalf of the queue, the runner and the jobs kept on disk."""

    def __init__(
        self,
        queue: JobQueue,
        runner: Runner,
        kept: Archive,
        keeps: bool,
        stop: Callable[[str], None],
        log_file: str,
        check_writable: Callable[[str], None],
        write: Callable[[Result, str], None],
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._kept = kept
        self._keeps = keeps
        self._stop = stop
        self._log_file = log_file
        self._check_writable = check_writable
        self._write = write
        self._started = time.time()
        self._version = version("mlxterp-tui")

    async def answer(self, body: AnyCall, client: Connection) -> AnyReply:
        try:
            return await self._answer(body, client)
        except EngineError as error:
            return protocol.Refused(str(error), error.details, error.exit_status)
        except Exception as error:  # a fault of ours costs one call, not the engine
            logger.exception("could not answer a %s", type(body).__name__)
            return protocol.Refused(f"{type(error).__name__}: {error}", exit_status=3)

    async def _answer(self, body: AnyCall, client: Connection) -> AnyReply:
        match body:
            case protocol.Hello(protocol=spoken):
                return _hello(spoken)
            case protocol.Submit():
                return await self._submit(body, client)
            case protocol.Watch(job=job_id, seq=seq):
                return await self._watch(job_id, seq, client)
            case protocol.Estimate(task=task):
                return protocol.Priced(self._price(task))
            case protocol.Tokenize():
                return self._tokenize(body)
            case protocol.Cancel(job=job_id):
                return self._cancel(job_id)
            case protocol.Save(job=job_id, out=out):
                return await self._save(job_id, out)
            case protocol.CompareRuns(first=first, second=second):
                return await asyncio.to_thread(self._compare, first, second)
            case protocol.Jobs():
                return protocol.JobList(self._infos())
            case protocol.Status():
                return self._status()
            case protocol.Shutdown(force=force):
                return self._shutdown(force)

    async def _submit(self, call: protocol.Submit, client: Connection) -> AnyReply:
        if self._runner.state == "broken":
            raise RunFailed(self._runner.reason, self._runner.details)
        if call.out is not None:
            await self._check_out(call.task, call.out)
        price = self._price(call.task)
        job = self._queue.submit(
            call.task, call.out, price, call.folder, call.recording, call.passing
        )
        self._note(job)
        client.watch(Watching(job))
        return protocol.Accepted(job.id, job.price)

    def _note(self, job: Job) -> None:
        """Leave a trace of the job, in case that the engine dies before it ends."""
        if not self._keeps or job.passing:
            return
        try:
            self._kept.begin(job.info())
        except OSError:
            logger.exception("job %s could not be noted on disk", job.id)

    async def _check_out(self, task: Task, out: str) -> None:
        if not isinstance(task, Request):
            raise BadInput(f"{task_name(task)} has no arrays to write to {out}; leave --out away")
        await asyncio.to_thread(self._check_writable, out)

    def _price(self, task: Task) -> Price | None:
        workbench = self._runner.workbench
        return workbench.price(task) if workbench else None

    async def _watch(self, job_id: str, seq: int, client: Connection) -> AnyReply:
        job = self._queue.find(job_id)
        if job is not None:
            client.watch(Watching(job, seq))
        else:
            ending = await asyncio.to_thread(self._kept.ending, job_id)
            client.watch(Remembered(job_id, seq, ending))
        return protocol.Done()

    def _tokenize(self, call: protocol.Tokenize) -> AnyReply:
        workbench = self._runner.workbench
        if workbench is None:
            raise BadInput("no model is open yet; wait until the engine is ready")
        if call.verbatim:
            return protocol.Tokenized(*workbench.pieces(call.text))
        return protocol.Tokenized(*workbench.tokenize(call.text, call.bos, call.chat))

    def _cancel(self, job_id: str) -> AnyReply:
        if not self._queue.cancel(job_id):
            self._kept.path_of(job_id)  # refuses a name that never was a job's
        return protocol.Done()

    async def _save(self, job_id: str, out: str) -> AnyReply:
        job = self._queue.find(job_id)
        if job is not None and not job.over:
            raise BadInput(f"job {job_id} has not ended; wait: mlxterp-tui jobs wait {job_id}")
        await asyncio.to_thread(self._save_kept, job_id, out)
        return protocol.Done()

    def _save_kept(self, job_id: str, out: str) -> None:
        self._check_writable(out)
        self._write(_result(job_id, self._kept.ending(job_id)), out)

    def _compare(self, first: int, second: int) -> AnyReply:
        """In a thread of its own: large results take a while, and jobs need not wait."""
        from mlxterp_engine.runlog.compare import compare  # numpy

        with RunLog.open() as log:
            return protocol.Compared(compare(log.result(first), log.result(second)))

    def _infos(self) -> list[JobInfo]:
        return merged(self._queue.infos(), self._kept.infos())

    def _status(self) -> AnyReply:
        held, peak = self._runner.memory
        return protocol.EngineStatus(
            pid=os.getpid(),
            version=self._version,
            started=self._started,
            model=self._runner.card,
            log=self._log_file,
            jobs=self._infos(),
            memory=held,
            peak=peak,
            state=self._runner.state,
            reason=self._runner.reason,
            log_trouble=self._runner.recorder.trouble,
        )

    def _shutdown(self, force: bool) -> AnyReply:
        unfinished = [info.id for info in self._queue.infos() if info.ended is None]
        if unfinished and not force:
            raise BadInput(
                f"the engine has unfinished jobs ({', '.join(unfinished)}); "
                "wait for them, cancel them, or stop it all the same with --force"
            )
        self._stop("it was told to stop")
        return protocol.Done()


def _hello(spoken: int) -> AnyReply:
    if spoken != protocol.VERSION:
        raise RunFailed(
            f"the running engine speaks protocol {protocol.VERSION} and this program {spoken}; "
            "restart it: R in the app, or mlxterp-tui engine restart"
        )
    return protocol.Done()


def _result(job_id: str, ending: Ending) -> Result:
    match ending:
        case protocol.Finished(outcome=Result() as result):
            return result
        case protocol.Finished():
            raise BadInput(f"job {job_id} has no arrays to write; see: mlxterp-tui jobs show")
        case protocol.Failed(reason=reason, exit_status=exit_status):
            raise (BadInput if exit_status == 2 else RunFailed)(f"job {job_id} failed: {reason}")
        case protocol.Cancelled():
            raise BadInput(f"job {job_id} was cancelled and has no result; run it again")
