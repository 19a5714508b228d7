"""The runs of patching on screen: what comes in takes its place, what was there is kept for `u`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlxterp_engine.experiments import AnyRequest, BadInput, Contract, ModelCard, Price, Result
from mlxterp_engine.experiments.alignment import Alignment, Span, align
from mlxterp_engine.experiments.request import Request
from mlxterp_engine.worker.protocol import Tokenized
from mlxterp_tui.amounts import price_in_words, seconds
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.panes.patch import memory as patch_memory
from mlxterp_tui.panes.patch import prompts, text
from mlxterp_tui.panes.patch.aligned import AlignedRows
from mlxterp_tui.panes.patch.asking import answered
from mlxterp_tui.panes.patch.body import PatchBody
from mlxterp_tui.panes.patch.question import EXPERIMENT_METHODS, TRACING, PatchQuestion, question_of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.subject import chosen, proposed, span_of, text_at
from mlxterp_tui.panes.patch.view import PatchView
from mlxterp_tui.panes.patch.words import EMPTY
from mlxterp_tui.screens.help import flowing
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.legend import Legend

from textual import on
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

SECONDS_BETWEEN_LOOKS = 0.1
LONG = 20.0  # seconds; what takes longer is run when it is asked for a second time
SECONDS_OF_PATIENCE = 1.0  # with the model's own answers, until it is said that they are waited for
ASKING = "The model is asked what it says after each prompt; :answers names two tokens instead."
MOST_KEPT = 20  # runs that `u` goes back through


class PatchRuns(Pane):
    """A question that is refused leaves the run on screen as it was, and is said in place."""

    takes_second = shows_tokens = True
    runs_at_start = False
    writes = (".tsv", ".csv")
    DEFAULT_CSS = """
    PatchRuns { layout: vertical; height: 1fr; }
    #patch-rows { dock: top; }
    #patch-empty { width: 1fr; padding: 1 3; color: $text-muted; }
    PatchRuns.-filled #patch-empty { display: none; }
    PatchRuns.-filled PatchBody { display: block; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="patch")
        self.body = PatchBody()
        self.rows = AlignedRows(id="patch-rows")
        self.question = PatchQuestion()
        self.span: Span | None = None  # what was marked by hand
        self.named_by_hand = False  # the answers: else they go with the prompt
        self._heading = Legend(id="patch-legend")
        self._next = PatchRun()
        self._asked_by = PatchQuestion()  # what the run on screen answers
        self._read: tuple[Tokenized, Tokenized] | None = None
        self._refusal = ""
        self._offered: Request | None = None  # what was priced and not run yet
        self._sent: Request | None = None
        self.price_is_known = False  # it was read in the form
        self.wanted_map = ""  # to look at once it is there
        self._before: list[tuple[PatchRun, PatchQuestion, PatchView]] = []

    def compose(self) -> ComposeResult:
        yield self.rows
        yield Static(flowing(EMPTY), id="patch-empty", markup=False)

    def on_show(self) -> None:
        """The rows here say what the strips above would say again."""
        self.app.main.add_class("-own-tokens")
        self.app.main.prompt.count_soon()

    def on_hide(self) -> None:
        self.app.main.remove_class("-own-tokens")

    async def prepare(self) -> None:
        if self.body.is_attached:
            return
        await self.mount(self.body)
        if self.has_focus:
            self.focus_contents()

    @property
    def heading(self) -> Widget:
        return self._heading

    @on(PatchBody.Scaled)
    def _scaled(self, event: PatchBody.Scaled) -> None:
        scale = event.scale
        self._heading.set_scale(
            scale.title, scale.low, scale.high, centred=scale.centred, ramp=event.ramp
        )

    @on(PatchBody.Pointed)
    def _pointed(self, event: PatchBody.Pointed) -> None:
        self.rows.point_at(event.position)

    @property
    def run(self) -> PatchRun:
        """What is on screen."""
        return self.body.run

    @property
    def view(self) -> PatchView:
        return self.body.view

    @property
    def maps(self) -> Sequence[str]:  # type: ignore[override]
        return self.run.names

    def focus_contents(self) -> None:
        filled = self.body.grid.is_attached and self.has_class("-filled")
        self.screen.set_focus(self.body.grid if filled else self)

    def recolour(self) -> None:
        self.body.paint()

    # The prompts.

    def prompts_read(self, first: Tokenized, second: Tokenized) -> None:
        if self._read is not None and [one.ids for one in self._read] != [first.ids, second.ids]:
            self.span, self._refusal = None, ""
        if not self.named_by_hand and self._read is not None and self._read[0].ids != first.ids:
            self.question = self.question.answering(None, None)
        self._read = first, second
        self.draw_rows()

    def draw_rows(self) -> None:
        """The prompts as they stand, with what is asked of them and what is wrong."""
        self.rows.show(
            prompts.shown(self.question, self.run, self.alignment, self.marked, self._refusal)
        )

    @property
    def alignment(self) -> Alignment:
        """Of the prompts as they would be run; of those of the run where none were read yet."""
        if self._read is None:
            return align(self.run.clean, self.run.corrupt)
        return prompts.as_asked(self.question, self._read[0].tokens, self._read[1].tokens)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Of the clean prompt."""
        return self.alignment.clean

    @property
    def marked(self) -> Span | None:
        """The span that is noised, or replaced by other words."""
        if self.question.method == TRACING and self.question.subject:
            return span_of(self.tokens, self.question.subject)
        alignment = self.alignment
        if self.span is not None:
            return self.span
        pair = bool(alignment.corrupt) and (self.question.takes_two or alignment.fits)
        return chosen(alignment) if pair else proposed(alignment.clean)

    @property
    def replaceable(self) -> tuple[tuple[str, ...], Span | None]:
        """The clean prompt as it is typed, which padding makes longer, and what is marked there."""
        if self._read is None or len(self._read[0].tokens) == len(self.tokens):
            return self.tokens, self.marked
        typed = align(self._read[0].tokens, self._read[1].tokens)
        return typed.clean, chosen(typed)

    # Asking.

    def request(self, prompt: str, setting: Setting) -> AnyRequest:
        return self._with_subject(self.question).request(prompt, self.second_prompt, setting)

    def _with_subject(self, question: PatchQuestion) -> PatchQuestion:
        """Of causal tracing: what is marked, where no words were given."""
        if question.method != TRACING or question.subject or self.marked is None:
            return question
        return question.about(text_at(self.tokens, self.marked))

    async def asked(self, prompt: str, setting: Setting) -> AnyRequest | None:
        """A refusal, and the price of a long run, are said in place; asked again it is run."""
        try:
            await self._model_open()
            await self.read_anew(prompt, setting)
            pair = prompt, self.second_prompt
            question = await self._answered(pair, setting)
            request = self._with_subject(question).request(*pair, setting)
            price = await self.app.session.estimate(request)
        except BadInput as error:
            self._refuse(str(error))
            return None
        known, self.price_is_known = self.price_is_known, False
        is_long = price is not None and price.seconds > LONG
        if is_long and not known and request != self._offered:
            self._offered = request
            way = "Enter in the prompt runs it" + ("." if self.stored else ", and so does r.")
            self._refuse(f"This takes {price_in_words(price)}. {way}")
            return None
        self._offered, self._sent = None, request
        return request

    async def _answered(self, pair: tuple[str, str | None], setting: Setting) -> PatchQuestion:
        """With the model's own answers where none are named: of long prompts not at once."""
        late = self.set_timer(SECONDS_OF_PATIENCE, lambda: self._refuse(ASKING))
        try:
            return await answered(self.app.session, self.question, pair, setting)
        finally:
            late.stop()

    async def _model_open(self) -> None:
        """What is asked while the app starts waits for the model."""
        session = self.app.session
        while session.card is None and session.state in ("starting", "ready"):
            if not self._refusal:
                self._refuse("The model is being opened; the run begins then.")
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def read_anew(self, prompt: str, setting: Setting) -> None:
        """What is marked is marked in these prompts, however fast they were typed."""
        tokenize = self.app.session.tokenize
        first = await tokenize(prompt, setting.bos, setting.chat)
        second = await tokenize(self.second_prompt or "", setting.bos, setting.chat)
        self.prompts_read(first, second if self.second_prompt else Tokenized([], []))

    async def price_of(self, question: PatchQuestion) -> Price | None:
        """What a question about the prompts as they stand would cost."""
        app = self.app
        pair = app.main.prompt.text, app.main.prompt.second
        asked = await answered(app.session, question, pair, app.setting)
        request = self._with_subject(asked).request(*pair, app.setting)
        return await app.session.estimate(request)

    def _refuse(self, sentence: str) -> None:
        self._refusal = sentence
        if self.run.running:
            self._take(self.run.ended("cancelled"))
        self.draw_rows()

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """What was on screen stays there until the new run has something to show."""
        if request is not self._sent and request.__struct_config__.tag in EXPERIMENT_METHODS:
            again = question_of(request, self.question)  # replayed, which takes no kept cells
            self.question = again.with_options(resume=None)
        self._refusal = ""
        self._next = PatchRun(request=request, state="waiting")
        self.draw_rows()

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        self._next = self._next.with_parts(parts, card)
        if self._next.names:
            self._take(self._next)

    def finish(self, result: Result) -> None:
        self._take(self._numbered(self._next.finished(result)))

    def end(self, state: Ended, reason: str) -> None:
        """What is on screen is what is asked from now on, where the new run came to nothing."""
        if self._next.known:
            self._take(self._numbered(self._next.ended(state, reason)))
        elif self.run.running:
            self._take(self.run.ended(state, reason))
        else:
            self.question = self._asked_by
        if state == "failed":
            self._refuse(reason)

    def take_stored(self, stored: Stored) -> None:
        from mlxterp_tui.panes.patch.stored import stored_run

        run = stored_run(stored)
        assert run.request is not None
        self.question = question_of(run.request, self.question)
        self._read, self._refusal, self.named_by_hand = None, "", False
        self._take(run)

    def _take(self, run: PatchRun) -> None:
        """Look at another run, or at more of it: at the same place if it has it."""
        view = self.view
        if run.request is not self.run.request:
            self._keep()
            self._asked_by = self.question
            self.wanted_map = self.wanted_map or view.name
            view = view.for_run(run)
        if self.wanted_map in run.names:  # the maps of a set come one after the other
            view, self.wanted_map = view.on_map(self.wanted_map), ""
        self._put(run, view if view.name in run.names else view.for_run(run))

    def _numbered(self, run: PatchRun) -> PatchRun:
        """With its number in the log, which the pane has for the run in front alone."""
        return replace(run, recorded_as=self.recorded_as)

    def _put(self, run: PatchRun, view: PatchView) -> None:
        self._next = run
        self.add_class("-filled")
        self.body.show(run, view)
        self.draw_rows()
        if self.has_focus:
            self.focus_contents()
        self.post_message(self.Changed())

    def _keep(self) -> None:
        """For `u`: the run that gives way, if there is anything in it."""
        if self.run.known:
            before = self.run, self._asked_by, self.view
            self._before = [*self._before, before][-MOST_KEPT:]

    def back(self) -> None:
        """The run before this one, as it was. BadInput where there is none."""
        if not self._before:
            raise BadInput("there is no run before this one")
        *self._before, (run, self.question, view) = self._before
        self._asked_by, self._refusal = self.question, ""
        self.stored, self.recorded_as = None, run.recorded_as
        self._put(run, view.for_run(run))
        self.app.main.redraw()

    # What is taken away, and kept.

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.run.contracts

    @property
    def cost(self) -> str:
        run = self.run
        if run.result is not None:
            return f"{run.total} cells · {seconds(run.result.meta.elapsed_s)}"
        cells = f"{run.known} of {run.total} cells"
        known = text.come(run, self.view.name) if run.is_set else cells
        return f"{run.state}: {known}" if run.state in ("cancelled", "failed") else ""

    @property
    def result(self) -> Result | None:
        return self.run.result

    def exported(self, suffix: str) -> str:
        """The map in front, as far as it is known."""
        separator = "," if suffix == ".csv" else "\t"
        return text.table(self.run, self.view.name, self.view.of, separator)

    def suggested_name(self) -> str:
        return f"{self.run.experiment or 'patching'}-{self.view.name or 'empty'}"

    def remembered(self) -> dict[str, Any]:
        width = self.body.grid.cell_width
        question = self.question if self.named_by_hand else self.question.answering(None, None)
        return patch_memory.remembered(self.second_prompt, question, self.view, width)

    def recall(self, remembered: Mapping[str, Any]) -> None:
        memory = patch_memory.recalled(remembered)
        self.second_prompt = memory.second
        self.question = self._asked_by = memory.question
        self.named_by_hand = memory.answer is not None
        self.body.view = memory.view
        self.body.grid.cell_width = memory.width
