"""The one way in which runs come into the log, wherever they are asked for.

`Recorder.follow` stands around an experiment's steps and passes them on. The run is noted at its
first part that is no mere progress (`Started`: the model is open, the request was accepted and
nothing is computed yet), and ends in the log as it ends: done, cancelled with what came so far,
or failed with the reason. One that is refused before anything is computed leaves nothing. The
log's own troubles are told and never stop a run.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Generator
from typing import NamedTuple

from mlxterp_engine.experiments import (
    BadInput,
    EngineError,
    ModelCard,
    Price,
    Request,
    Result,
    RunCancelled,
    Started,
    Step,
)
from mlxterp_engine.runlog.log import Part, RunLog
from mlxterp_engine.runlog.record import NOTHING_SAID, Recording
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.thinning import Thinned, kind_of

import msgspec

UNFINISHED = "unfinished"
NO_LOG_VARIABLE = "MLXTERP_NO_LOG"

Steps = Generator[Part, None, Result]


class Known(NamedTuple):
    """What is known of a run when it begins."""

    price: Price | None = None
    model: ModelCard | None = None


def is_wanted() -> bool:
    """Whether the user's environment lets runs be recorded where nothing else was said."""
    return os.environ.get(NO_LOG_VARIABLE, "") in ("", "0")


class Recorder:
    """Records one run after another. trouble: why the last one was not recorded, if so."""

    def __init__(
        self,
        open_log: Callable[[], RunLog] = RunLog.open,
        tell: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.trouble = ""
        self._open_log = open_log
        self._tell = tell
        self._log: RunLog | None = None

    def follow(
        self,
        request: Request,
        steps: Steps,
        recording: Recording = NOTHING_SAID,
        *,
        known: Callable[[], Known] = Known,
        noted: Callable[[int | None], None] = lambda run: None,
    ) -> Steps:
        """The same steps and result. noted: told the run's id when it has begun, and None
        should it not have been kept in the end; before the last word, it is on disk."""
        run = _Run(self, request, recording, known, noted)
        try:
            result = yield from _heard(steps, run.hear)
        except (GeneratorExit, KeyboardInterrupt, RunCancelled):
            run.cancelled()
            raise
        except BaseException as error:
            run.failed(error)
            raise
        run.finished(result)
        return result

    def attempt(self, act: Callable[[RunLog], None]) -> bool:
        """Do something with the log. False, and its reason told once, when that can't be."""
        try:
            act(self.log())
        except EngineError as error:
            trouble = f"the run is not recorded: {error}"
            if trouble != self.trouble:
                self.trouble = trouble
                self._tell(trouble)
            return False
        self.trouble = ""
        return True

    def unfinished(self) -> Unfinished:
        """Where runs that are stopped leave what they had computed, beside the log."""
        return Unfinished(lambda: self.log().folder / UNFINISHED)

    def log(self) -> RunLog:
        """The log, opened when first asked for, and anew when somebody took its files away."""
        if self._log is None or not self._log.is_there:
            self._log = self._open_log()
            if self._log.notice:
                self._tell(self._log.notice)
        return self._log


class _Run:
    """One run on its way into the log."""

    def __init__(
        self,
        recorder: Recorder,
        request: Request,
        recording: Recording,
        known: Callable[[], Known],
        noted: Callable[[int | None], None],
    ) -> None:
        self._recorder = recorder
        self._request = request
        self._recording = recording
        self._known = known
        self._noted = noted
        self._begun = False
        self._id: int | None = None
        self._parts: Thinned[Part] = Thinned()

    def hear(self, part: Part) -> None:
        if isinstance(part, Step):
            return
        if not self._begun:
            self._begin(part.tokens if isinstance(part, Started) else [])
        self._parts.append(part, kind_of(part))

    def finished(self, result: Result) -> None:
        if not self._begun:  # steps that went straight to their result
            self._begin(result.meta.tokens)
        self._end(lambda log, run: log.finish(run, result))

    def cancelled(self) -> None:
        self._end(lambda log, run: log.cancelled(run, self._parts.items))

    def failed(self, error: BaseException) -> None:
        if isinstance(error, BadInput) and len(self._parts.items) <= 1:  # its tokens alone
            self._end(lambda log, run: log.refused(run))
            self._noted(None)
            return
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, EngineError):
            details = error.details
        else:
            reason = f"{type(error).__name__}: {reason}"
            details = "".join(traceback.format_exception(error))
        self._end(lambda log, run: log.failed(run, reason, details))

    def _begin(self, tokens: list[list[str]]) -> None:
        self._begun = True
        known = self._known()
        request = _seen_from_anywhere(self._request, known.model)

        def enter(log: RunLog) -> None:
            self._id = log.begin(
                request, self._recording, known.price, model=known.model, tokens=tokens
            )

        if self._recorder.attempt(enter):
            self._noted(self._id)

    def _end(self, act: Callable[[RunLog, int], None]) -> None:
        run = self._id
        if run is not None and not self._recorder.attempt(lambda log: act(log, run)):
            self._noted(None)


def _heard(steps: Steps, hear: Callable[[Part], None]) -> Steps:
    """The same steps; each is heard before it is passed on."""
    try:
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                return end.value
            hear(part)
            yield part
    finally:
        steps.close()


def _seen_from_anywhere(request: Request, model: ModelCard | None) -> Request:
    """A model that is a folder or a file here is written so that it is found from elsewhere."""
    if model is None or not model.provenance.startswith("local "):
        return request
    path = os.path.abspath(os.path.expanduser(request.model))
    return msgspec.structs.replace(request, model=path)
