"""The patch pane: two prompts, one map, and the keys that ask something else of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    Contract,
    ModelCard,
    Result,
)
from mlxterp_engine.experiments.alignment import Span, align
from mlxterp_engine.experiments.request import Request
from mlxterp_engine.worker.protocol import Tokenized
from mlxterp_tui.amounts import price_in_words, seconds
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.panes.patch.aligned import AlignedRows
from mlxterp_tui.panes.patch.aligned_text import Aligned, Answered
from mlxterp_tui.panes.patch.body import PatchBody
from mlxterp_tui.panes.patch.question import (
    PatchQuestion,
)
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.view import PatchView
from mlxterp_tui.panes.patch.words import EMPTY, EXAMPLES, HELP, Example
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.legend import Legend

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

LONG = 20.0  # seconds; a run that takes longer is asked for twice
MOST_KEPT = 20  # runs that `u` goes back through


class PatchPane(Pane, can_focus=True):
    """A question that is refused leaves the run on screen, and what it asked, as they were."""

    HELP_TITLE = "patching"
    HELP = HELP
    takes_second = shows_tokens = True
    runs_at_start = False
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("patch")]
    DEFAULT_CSS = """
    PatchPane { layout: vertical; height: 1fr; }
    #patch-empty { width: 1fr; padding: 1 3; color: $text-muted; }
    PatchPane.-filled #patch-empty { display: none; }
    PatchPane.-filled PatchBody { display: block; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="patch")
        self.body = PatchBody()
        self.rows = AlignedRows(id="patch-rows")
        self.question = PatchQuestion()
        self._heading = Legend(id="patch-legend")
        self._next = PatchRun()
        self._asked_by = PatchQuestion()  # what the run on screen answers
        self._read: tuple[Tokenized, Tokenized] | None = None
        self._span: Span | None = None
        self._refusal = ""
        self._offered: Request | None = None
        self._tops: dict[Request, str] = {}
        self._before: list[tuple[PatchRun, PatchQuestion]] = []

    def compose(self) -> ComposeResult:
        yield self.rows
        yield Static(EMPTY, id="patch-empty", markup=False)

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
        self._heading.set_scale(scale.title, scale.low, scale.high, log=scale.log, ramp=event.ramp)

    @property
    def run(self) -> PatchRun:
        """What is on screen."""
        return self.body.run

    @property
    def maps(self) -> Sequence[str]:  # type: ignore[override]
        return self.run.names

    @property
    def view(self) -> PatchView:
        return self.body.view

    def focus_contents(self) -> None:
        filled = self.body.is_attached and self.has_class("-filled")
        self.screen.set_focus(self.body.grid if filled else self)

    def recolour(self) -> None:
        self.body.paint()

    # The prompts.

    def prompts_read(self, first: Tokenized, second: Tokenized) -> None:
        if self._read is None or [one.ids for one in self._read] != [first.ids, second.ids]:
            self._span, self._refusal = None, ""
        self._read = first, second
        self.draw_rows()

    def draw_rows(self) -> None:
        clean, corrupt = self._tokens
        if not clean:
            return
        alignment = align(clean, corrupt)
        subject = self._span or alignment.subject
        self.rows.show(Aligned(alignment, subject, self._answers, says=self._refusal))

    @property
    def _tokens(self) -> tuple[Sequence[str], Sequence[str]]:
        """As the model reads them; of the run on screen where nothing was read yet."""
        if self._read is None:
            return self.run.clean, self.run.corrupt
        return self._read[0].tokens, self._read[1].tokens

    @property
    def _answers(self) -> tuple[Answered, ...]:
        if not self.question.takes_two:
            return ()
        shown = self.run.request if self._shows_these_prompts else None
        answer = getattr(shown, "answer", None) or self.question.answer
        wrong = getattr(shown, "wrong", None) or self.question.wrong
        return (Answered("answer", answer), Answered("wrong", wrong))

    @property
    def _shows_these_prompts(self) -> bool:
        return self._tokens == (self.run.clean, self.run.corrupt)

    # Asking.

    def request(self, prompt: str, setting: Setting) -> AnyRequest:
        return self.question.request(prompt, self.second_prompt, setting)

    async def asked(self, prompt: str, setting: Setting) -> AnyRequest | None:
        """With the answers that the model itself gives; a refusal, or a long run's price, is said
        in place, and asked again what was priced is run."""
        try:
            question = await self._answered(prompt, setting)
            request = question.request(prompt, self.second_prompt, setting)
            price = await self.app.session.estimate(request)
        except BadInput as error:
            self._refuse(str(error))
            return None
        if price is not None and price.seconds > LONG and request != self._offered:
            self._offered = request
            self._refuse(f"This takes {price_in_words(price)}. Enter again, or r, runs it.")
            return None
        self._offered, self._refusal = None, ""
        return request

    def _refuse(self, sentence: str) -> None:
        self._refusal = sentence
        self.draw_rows()

    async def _answered(self, prompt: str, setting: Setting) -> PatchQuestion:
        """What is not named is the token that the model itself says next."""
        question = self.question
        if not question.takes_two or not self.second_prompt:
            return question
        answer = question.answer or await self._top(prompt, setting)
        wrong = question.wrong or await self._top(self.second_prompt, setting)
        if answer == wrong:
            raise BadInput(
                f"the model says {answer!r} after both prompts, so there is no answer to tell "
                "apart; t names the answer and the wrong one"
            )
        return question.answering(answer, wrong)

    async def _top(self, prompt: str, setting: Setting) -> str:
        """The token that the model finds likeliest behind a prompt."""
        from mlxterp_tui.panes.patch.likeliest import likeliest

        return await likeliest(self.app.session, prompt, setting)

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """What was on screen stays there until the new run has something to show."""
        self._next = PatchRun(request=request, state="waiting")

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        self._next = self._next.with_parts(parts, card)
        if self._next.names:
            self._take(self._next)

    def finish(self, result: Result) -> None:
        self._take(self._next.finished(result))

    def end(self, state: Ended, reason: str) -> None:
        """What is on screen is what is asked from now on, where the new run came to nothing."""
        if self._next.known:
            self._take(self._next.ended(state, reason))
        elif self.run.running:
            self._take(self.run.ended(state, reason))
        else:
            self.question = self._asked_by
        if state == "failed":
            self._refuse(reason)

    def _take(self, run: PatchRun) -> None:
        """Look at another run, or at more of it: at the same place if it has it."""
        assert run.request is not None
        view = self.view
        if run.request is not self.run.request:
            self._keep()
            self._asked_by = self.question
            view = view.for_run(run)
        self._next = run
        self.add_class("-filled")
        self.body.show(run, view if view.name in run.names else view.for_run(run))
        self.draw_rows()
        if self.has_focus:
            self.focus_contents()
        self.post_message(self.Changed())

    def _keep(self) -> None:
        """For `u`: the run that gives way, if there is anything in it."""
        if self.run.known:
            kept = (replace(self.run, recorded_as=self.recorded_as), self._asked_by)
            self._before = [*self._before, kept][-MOST_KEPT:]

    # What is taken away, and kept.

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.run.contracts

    @property
    def cost(self) -> str:
        run = self.run
        cells = f"{run.known} of {run.total} cells"
        if run.result is not None:
            return f"{run.total} cells · {seconds(run.result.meta.elapsed_s)}"
        return f"{run.state}: {cells}" if run.state in ("cancelled", "failed") else ""

    @property
    def result(self) -> Result | None:
        return self.run.result

    def suggested_name(self) -> str:
        return f"{self.run.experiment or 'patching'}-{self.view.name or 'empty'}"

    # Keys.

    @tells_errors
    def _ask(self, change: Callable[[PatchQuestion], PatchQuestion]) -> None:
        """Another question about the same prompts; asked at once where a run is on screen."""
        self.question = change(self.question)
        self.draw_rows()
        if self.run.request is not None:
            self.post_message(self.Wanted())

    def action_cycle_map(self, step: int) -> None:
        self.body.show(self.run, self.view.cycled(self.run, step))

    @tells_errors
    def action_map(self, name: str) -> None:
        if name not in self.run.names:
            there = ", ".join(self.run.names) or "none yet; Enter in the prompt runs"
            raise BadInput(f"there is no map {name!r}; there are: {there}")
        self.body.show(self.run, self.view.on_map(name))

    def action_cycle_metric(self) -> None:
        self._ask(PatchQuestion.measuring_next)

    def action_metric(self, name: str) -> None:
        self._ask(lambda question: question.measuring(name))

    def action_cycle_method(self) -> None:
        self._ask(PatchQuestion.by_next)

    def action_method(self, name: str) -> None:
        self._ask(lambda question: question.by(name))

    def action_turn(self) -> None:
        self._ask(PatchQuestion.turned)

    def action_best(self, step: int) -> None:
        """To the next of the largest cells; from elsewhere to the largest."""
        best = [one.at for one in self.body.best]
        if best:
            here = self.body.at
            at = best.index(here) + step if here in best else 0
            self.body.go_to(best[at % len(best)])

    def action_type_answers(self) -> None:
        """On the `:` line, beginning with those there are."""
        known = [f'"{answer.token or " "}"' for answer in self._answers]
        self.app.main.call_later(self.app.main.action_begin, " ".join(["answers", *known]))

    @tells_errors
    def action_answers(self, words: str) -> None:
        self.question = self.question.answering(*answers_from(words))
        self._refusal = ""
        self.draw_rows()
        if self.second_prompt:
            self.post_message(self.Wanted())

    async def action_corrupt(self) -> None:
        """The second prompt: opened where there is none, beginning as the first."""
        main = self.app.main
        await main.prompt.open_second(main.prompt.text)

    async def action_example(self) -> None:
        """A pair that the model reads as equally many tokens, in both prompts, and its map."""
        main = self.app.main
        example = await self._fitting_example()
        self.question = PatchQuestion().answering(example.answer, example.wrong)
        main.prompt.text = example.clean
        if main.prompt.second is None:
            await main.prompt.open_second(example.corrupt, typing=False)
        main.prompt.place_second(example.corrupt)
        main.ask_prompt()

    async def _fitting_example(self) -> Example:
        setting = self.app.setting
        for example in EXAMPLES:
            read = [
                await self.app.session.tokenize(text, setting.bos, setting.chat)
                for text in (example.clean, example.corrupt)
            ]
            if len(read[0].ids) == len(read[1].ids):
                return example
        return EXAMPLES[0]


def answers_from(words: str) -> tuple[str | None, str | None]:
    """`" Mary" " John"`; `auto` for what the model says. BadInput for anything else."""
    if words.strip() == "auto":
        return None, None
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise BadInput(f"{words} can't be read ({error}); close the quotes") from None
    if len(given) not in (1, 2) or not all(given):
        raise BadInput(f'answers are {words}; give two tokens in quotes: " Mary" " John"')
    return given[0], given[1] if len(given) > 1 else None
