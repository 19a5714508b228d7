"""What the screen does with runs of the log: open, run again, compare, annotate, delete."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    EngineError,
    ModelCard,
    RunCancelled,
    RunFailed,
    request_from,
)
from mlxterp_engine.runlog.record import Recording, RunRecord
from mlxterp_engine.runlog.replay import afresh, request_of
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.registry import pane_showing
from mlxterp_tui.panes.runs import text as runs_text
from mlxterp_tui.screens.reader import Reader
from mlxterp_tui.trainings import PAGE as TRAINING_PAGE

import msgspec

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp


class Recorded:
    """Each is begun and comes back at once; errors are reported by the app."""

    def __init__(self, app: MlxterpApp) -> None:
        self._app = app

    def open(self, run: int) -> None:
        """Show the run's result in its pane as it was, without its model."""
        self._start(self._open(run), "open-run")

    def open_number(self, words: str) -> None:
        """The same for a number that was typed. BadInput when it is none."""
        self.open(run_number(words))

    def replay(self, run: int) -> None:
        """Run it again on the same weights, and say how far the numbers are apart."""
        self._start(self._replay(run), "run")

    def compare(self, first: int, second: int) -> None:
        self._start(self._compare(first, second), "compare")

    async def delete(self, run: int) -> bool:
        return await self._done(self._app.logbook.ask(lambda log: log.delete(run)))

    async def restore(self, run: int) -> bool:
        return await self._done(self._app.logbook.ask(lambda log: log.restore(run)))

    def annotate(self, said: str, change: Callable[[RunRecord], dict[str, Any]]) -> None:
        """Change what is written about the run in front. said: what was done, in words."""
        self._start(self._annotate(said, change), "annotate")

    def tag(self, words: str) -> None:
        """Add tags to the run in front; those with a minus are taken away."""
        self.annotate("tagged", lambda record: {"tags": with_tags(record.tags, words)})

    def _start(self, work: Coroutine[Any, Any, None], group: str) -> None:
        self._app.run_worker(self._reported(work), group=group, exclusive=True)

    async def _reported(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RunCancelled:
            self._app.tell("stopped; what was computed is kept")
        except EngineError as error:
            self._app.report(error)

    async def _done(self, work: Coroutine[Any, Any, Any]) -> bool:
        try:
            await work
        except EngineError as error:
            self._app.report(error)
            return False
        return True

    # Opening.

    async def _open(self, run: int) -> None:
        stored = await self._app.logbook.stored(run)
        if not await self._show(stored):
            self._app.push_screen(Reader(f"run {run}", runs_text.detail(stored.record)))

    async def _show(self, stored: Stored) -> bool:
        """In the pane of its experiment; False where there is none, or nothing to show."""
        name = pane_showing(str(stored.record.request["name"]))
        if name is None or (stored.result is None and not stored.parts):
            return False
        main = self._app.main
        main.action_show_pane(name)
        await main.pane.prepare()
        self._take(main.pane, stored)
        self._adopt(stored.record.request)
        main.action_focus_pane()
        return True

    def _take(self, pane: Pane, stored: Stored) -> None:
        pane.take_stored(stored)
        pane.stored, pane.recorded_as = stored.record, stored.record.id
        self._app.main.redraw()
        self._app.show_run()

    def _adopt(self, request: Mapping[str, Any]) -> None:
        """Put its prompts, BOS and chat above the pane, as they were asked; a training has none."""
        app = self._app
        first, second = prompts_of(request)
        if first is None:
            return
        app.main.prompt.text = first
        if second is not None:
            app.main.prompt.place_second(second)
        app.setting = msgspec.structs.replace(
            app.setting, bos=request.get("bos", "auto"), chat=bool(request.get("chat", False))
        )
        app.main.redraw()

    def _stands_at_prompt(self, request: Mapping[str, Any]) -> bool:
        """Whether it is what Enter in the prompt would ask; a training does not depend on it."""
        app = self._app
        first, second = prompts_of(request)
        if first is None:
            return True
        mine = app.setting.request_fields()
        return (
            first == app.main.prompt.text
            and second in (None, app.main.pane.second_prompt)
            and all(request.get(name) == value for name, value in mine.items())
        )

    async def resume(self, run: int, still_wanted: Callable[[], bool]) -> bool:
        """Show what was in front when the session was left, if the prompt still asks just that."""
        app = self._app
        try:
            stored = await app.logbook.stored(run)
        except BadInput:
            return False  # it is gone, or cannot be read: the prompt is asked as at any start
        record, main = stored.record, app.main
        pane = main.pane
        if (
            stored.result is None
            or pane_showing(str(record.request["name"])) != main.pane_name
            or not (still_wanted() and self._stands_at_prompt(record.request))
        ):
            return False
        await pane.prepare()
        self._take(pane, stored)
        return True

    def lay_beside(self, run: int, pane: Pane) -> None:
        """Give a pane a run of the log to compare with; one that is gone is no trouble."""
        self._start(self._lay_beside(run, pane), "beside")

    async def _lay_beside(self, run: int, pane: Pane) -> None:
        try:
            pane.take_beside(await self._app.logbook.stored(run))
        except BadInput:
            return

    # Running again.

    async def _replay(self, run: int) -> None:
        app = self._app
        record = (await app.logbook.known(run)).record
        request_of(record)  # refuses in words what can't be run again
        request = asked_by(record)  # on the device of this engine: the model stays open
        self._adopt(record.request)
        await self._same_weights(record)
        name = pane_showing(str(record.request["name"]))
        if name is not None:
            app.main.action_show_pane(name)
        pane = None if name is None else app.main.pane
        if name == TRAINING_PAGE:
            again = await app.trainings.begin(request, parent=run)
        else:
            recording = Recording(parent=run, hypothesis=app.hypothesis)
            again = await app.runs.answer(request, pane, recording)
        if again is None:
            raise RunFailed(f"run {run} ran again, but was not recorded; nothing can be compared")
        await self._compare(run, again, f"run {again}, run {run} again")

    async def _same_weights(self, record: RunRecord) -> None:
        """Open the record's model, and refuse it where it is another than it was."""
        app, reference = self._app, str(record.request["model"])
        card = app.session.card
        if card is None or card.reference != reference:
            setting = msgspec.structs.replace(app.setting, model=reference)
            card = await app.runs.opened(setting)
            app.setting = setting
        refuse_other_weights(record, card)

    # Comparing.

    async def _compare(self, first: int, second: int, title: str = "") -> None:
        app = self._app
        one, other = await app.logbook.stored(first), await app.logbook.stored(second)
        for stored in (one, other):
            if stored.result is None:
                raise BadInput(
                    f"run {stored.record.id} {stored.record.state} and has no whole result; "
                    "only runs that are done can be compared"
                )
        from mlxterp_tui.screens.comparison import comparison

        found = await app.session.compare(first, second)
        heading = title or f"run {second} against run {first}"
        app.push_screen(comparison(one, other, found, heading))

    # Annotating.

    async def _annotate(self, said: str, change: Callable[[RunRecord], dict[str, Any]]) -> None:
        app = self._app
        run = app.main.run_in_front
        if run is None:
            raise BadInput("no recorded run is in front; run a prompt, or choose one in the runs")
        record = (await app.logbook.known(run)).record
        await app.logbook.annotate(run, **change(record))
        app.main.log_changed()
        app.tell(f"run {run}: {said}")


def asked_by(record: RunRecord) -> AnyRequest:
    """The request as it was asked, from the beginning."""
    parameters = afresh(record)
    return request_from(str(parameters.pop("name")), parameters)


def refuse_other_weights(record: RunRecord, card: ModelCard) -> None:
    """BadInput that names both hashes when the model is another than the run's."""
    if record.model is not None and record.model.sha256 != card.sha256:
        raise BadInput(
            f"{card.reference} is not the model of run {record.id} any more: its weights were "
            f"{record.model.sha256[:12]}… and are {card.sha256[:12]}…; "
            f"mlxterp-tui runs replay {record.id} --any-model runs it all the same"
        )


def prompts_of(request: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What stands in the first and in the second prompt for it; None where nothing does."""
    first, second = request.get("prompt", request.get("clean")), request.get("corrupt")
    return first and str(first), second and str(second)


def run_number(words: str) -> int:
    if not words.isdecimal():
        raise BadInput(f"{words!r} is no number of a run; the runs pane lists them")
    return int(words)


def with_tags(tags: tuple[str, ...], words: str) -> tuple[str, ...]:
    """`ioi -old`: tags to add, and with a minus those to take away."""
    pieces = [piece.lstrip("#") for piece in words.split()]
    gone = {piece[1:] for piece in pieces if piece.startswith("-")}
    missing = gone - set(tags)
    if missing:
        there = ", ".join(tags) or "none"
        raise BadInput(f"tag {min(missing)!r} is not on this run; on it: {there}")
    added = [piece for piece in pieces if not piece.startswith("-") and piece not in tags]
    return (*(tag for tag in tags if tag not in gone), *dict.fromkeys(added))
