"""Trainings from the app's side: asked for, begun, followed, stopped, gone on with.

A training is followed by its page alone: a lens that is asked for meanwhile neither stops it
nor is hidden by it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from mlxterp_engine.experiments import AnyRequest, BadInput, EngineError, Result, RunCancelled
from mlxterp_engine.runlog.record import Recording, RunRecord
from mlxterp_engine.worker.client import Job
from mlxterp_engine.worker.protocol import ENDED, JobInfo
from mlxterp_tui.folders import state_file
from mlxterp_tui.panes.registry import RESUMABLE, TRAININGS

import msgspec

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.panes.training.draft import Draft, Training
    from mlxterp_tui.panes.training.pane import TrainingPage

PAGE = "training"


class Trainings:
    """What the app does with trainings. Errors go to `app.report`."""

    def __init__(self, app: MlxterpApp) -> None:
        self._app = app
        self._running: set[str] = set()
        self._followed = ""

    # Beginning.

    def asked(self, words: str) -> None:
        """`:train ridge` opens the form; with options, `:train tuned --steps 100`, it begins."""
        from mlxterp_tui.panes.training.draft import KINDS, request_from_words

        kind, *options = _split(words) or [""]
        if options:
            self.begin(request_from_words(kind, options, self._setting))
        elif kind in KINDS:
            self.open_form(kind)
        else:
            raise BadInput(f":train {kind} is not known; there are: {', '.join(KINDS)}")

    def open_form(self, kind: str = "") -> None:
        """With what was last typed; kind: `ridge` or `tuned`, "" as it was."""
        from mlxterp_tui.screens.training_form import TrainingForm

        draft = {**_kept_draft(), **({"kind": kind} if kind else {})}
        form = TrainingForm(draft, self._setting, self._app.session.estimate, self._keep)
        self._app.push_screen(form, self._filled)

    def _filled(self, request: Training | None) -> None:
        if request is not None:
            self.begin(request)

    @property
    def _setting(self) -> dict[str, object]:
        fields = self._app.setting.request_fields()
        return {name: fields[name] for name in ("model", "device", "dtype", "bos")}

    def _keep(self, draft: Draft) -> None:
        """What was typed, for the next opening; without a disk it is lost, and no more."""
        text = json.dumps(dict(draft)).encode()
        self._app.run_worker(asyncio.to_thread(_write_draft, text), group="draft", exclusive=True)

    def begin(self, request: AnyRequest, parent: int | None = None) -> asyncio.Future[int | None]:
        """Hand it to the engine and show its page. Comes to its number in the log."""
        ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        recording = Recording(parent=parent, hypothesis=self._app.hypothesis)
        self._start(self._begin(request, recording, ended))
        return ended

    def watch(self, info: JobInfo) -> None:
        """Show a training that runs; one that has ended as the log keeps it, if it does."""
        if info.state in ENDED and info.run is not None:
            self._app.recorded.open(info.run)
        else:
            self._start(self._watch(info))

    def stop(self, job: str) -> None:
        self._app.runs.cancel(job)

    def resume(self, record: RunRecord | None, job: str) -> None:
        """Go on from the checkpoint of a run, or of a job, that was stopped or failed."""
        self._start(self._resume(record, job))

    async def _begin(
        self, request: AnyRequest, recording: Recording, ended: asyncio.Future[int | None]
    ) -> None:
        try:
            job = await self._app.session.submit(request, recording)
            if recording.hypothesis:
                self._app.hypothesis = ""
            await self._follow(job, str(request.__struct_config__.tag), request.about)
            ended.set_result(self._app.session.run_of(job))
        finally:
            ended.cancel()

    async def _watch(self, info: JobInfo) -> None:
        job = await self._app.session.watch(info.id)
        await self._follow(job, info.experiment, info.prompt)

    async def _resume(self, record: RunRecord | None, job: str) -> None:
        from mlxterp_engine.experiments import request_from

        if record is None:
            info = self._app.session.jobs.get(job)
            if info is None or info.run is None:
                raise BadInput("this training is not in the log; t begins a new one")
            record = (await self._app.logbook.known(info.run)).record
        if record.request["name"] not in RESUMABLE:
            raise BadInput("a ridge lens is fitted in one go and has no checkpoint; t begins again")
        parameters = {**record.request, "resume": True}
        if parameters.get("out_dir") is None:
            raise BadInput(
                f"run {record.id} was begun without a name for its lens, so its checkpoint can't "
                "be found; t begins a new one"
            )
        request = request_from(str(parameters.pop("name")), parameters)
        recording = Recording(parent=record.id)
        ended = asyncio.get_running_loop().create_future()
        await self._begin(request, recording, ended)

    # Following.

    async def _follow(self, job: Job, experiment: str, subject: str) -> None:
        """Show what comes of it in the page, however it ends."""
        page = await self._page()
        page.attend(job.id, experiment, subject)
        self._followed = job.id
        try:
            outcome = await self._app.session.follow(
                job, lambda parts: page.show(parts, self._app.session.card)
            )
            page.finish(cast(Result, outcome))
        except RunCancelled:
            page.end("cancelled", "")
            raise
        except EngineError as error:
            page.end("failed", str(error))
            raise
        finally:
            page.recorded_as = self._app.session.run_of(job)

    async def _page(self) -> TrainingPage:
        """Brought forward."""
        main = self._app.main
        page = cast("TrainingPage", main.pane_named(PAGE))
        self._app.runs.note_asked(page)
        main.action_show_pane(PAGE)
        await page.prepare()
        page.focus_contents()
        return page

    def _start(self, work) -> None:
        self._app.run_worker(self._reported(work), group="training", exclusive=True)

    async def _reported(self, work) -> None:
        try:
            await work
        except RunCancelled:
            pass  # the news tell it, whoever stopped it
        except EngineError as error:
            self._app.report(error)

    # News.

    def hear(self, jobs: Iterable[JobInfo]) -> None:
        """Tell of each training that has ended since it was last looked."""
        for info in jobs:
            if info.experiment not in TRAININGS:
                continue
            if info.state not in ENDED:
                self._running.add(info.id)
            elif info.id in self._running:
                self._running.discard(info.id)
                if info.state != "failed" or info.id != self._followed:  # that one is reported
                    self._app.tell(ended_in_words(info))


def ended_in_words(info: JobInfo) -> str:
    """How a training ended, and what can be done now."""
    kind = info.experiment.removeprefix("train-").removesuffix("-lens")
    match info.state:
        case "done":
            return f"the {kind} lens of {info.model} is ready; w in the lens shows it"
        case "cancelled":
            kept = "; its checkpoint is kept, r goes on" if kind == "tuned" else ""
            return f"the training of a {kind} lens was stopped{kept}"
        case _:
            return f"the training of a {kind} lens failed: {info.reason}"


def _split(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError as error:
        raise BadInput(f":train {words} can't be read ({error}); close the quotes") from None


def _kept_draft() -> dict[str, str]:
    try:
        return msgspec.json.decode(state_file("training.json").read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write_draft(text: bytes) -> None:
    from mlxterp_engine.whole_files import write_whole

    try:
        write_whole(state_file("training.json"), text)
    except OSError:
        return
