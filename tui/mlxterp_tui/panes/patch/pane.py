"""The patch pane: two prompts, one map, and the keys that ask something else of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, cast

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.experiments.substitutes import Substitutes
from mlxterp_tui.draft import Draft
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.patch import inspector, onwards, text
from mlxterp_tui.panes.patch.aligned_text import Answered, End, moved
from mlxterp_tui.panes.patch.answers import answers_from, checked
from mlxterp_tui.panes.patch.body import PatchBody
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.onwards import Onwards
from mlxterp_tui.panes.patch.question import TRACING, PatchQuestion
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.runs import PatchRuns
from mlxterp_tui.panes.patch.sets import over_facts, over_pairs
from mlxterp_tui.panes.patch.sites import Z_POS, of_block
from mlxterp_tui.panes.patch.subject import text_at
from mlxterp_tui.panes.patch.words import EXAMPLES, HELP, Example
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader

from textual import on, work
from textual.binding import BindingType
from textual.content import Content

LENS, PATTERN = "lens", "pattern"


class PatchPane(PatchRuns, can_focus=True):
    """Keys that change the question ask it at once where a run is on screen."""

    HELP_TITLE = "patching"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("patch")]

    def __init__(self) -> None:
        super().__init__()
        self._left: tuple[PatchQuestion, Draft] | None = None  # a form, and what it was about
        self._lent: tuple[Onwards, tuple[str, str]] | None = None

    # Looking.

    def action_cycle_map(self, step: int) -> None:
        self.wanted_map = ""
        self.body.show(self.run, self.view.cycled(self.run, step))

    @tells_errors
    def action_map(self, name: str) -> None:
        if name not in self.run.names:
            there = ", ".join(self.run.names) or "none yet; Enter in the prompt runs"
            raise BadInput(f"there is no map {name!r}; there are: {there}")
        self.body.show(self.run, self.view.on_map(name))

    @tells_errors
    def action_step(self, step: int) -> None:
        """Through the mean, its spread, and each pair or draw."""
        if self.run.is_set and self.run.result is None:
            raise BadInput("each pair or fact can be looked at once all of the set are done")
        if not self.run.members(self.view.name):
            raise BadInput("this map is of one pair; :pairs ioi 20 patches a set of them")
        self.body.show(self.run, self.view.stepped(self.run, step))

    def action_best(self, step: int) -> None:
        """To the next of the largest cells; from elsewhere to the largest."""
        best = [one.at for one in self.body.best]
        if best:
            here = self.body.at
            at = best.index(here) + step if here in best else 0
            self.body.go_to(best[at % len(best)])

    @on(PatchBody.Chosen)
    def _chosen(self) -> None:
        lines = inspector.lines(self.run, self.view.name, self.view.of, self.body.at)
        self.app.push_screen(Reader("cell", Content("\n").join(lines)))

    def action_copy_cell(self) -> None:
        words = inspector.in_words(self.run, self.view.name, self.view.of, self.body.at)
        self.post_message(CopyWanted(words + "\n"))

    @tells_errors
    def action_copy_table(self) -> None:
        self.post_message(CopyWanted(text.table(self.run, self.view.name, self.view.of)))

    # Asking something else.

    @tells_errors
    def _ask(self, change: Callable[[PatchQuestion], PatchQuestion]) -> None:
        self._wonder(change(self.question))

    def _wonder(self, question: PatchQuestion, at_once: bool = False) -> None:
        self.question, self._refusal = question, ""
        self.draw_rows()
        if at_once or self.run.request is not None:
            self.post_message(self.Wanted())

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

    @tells_errors
    def action_pairs(self, words: str) -> None:
        self._wonder(over_pairs(self.question, words), at_once=True)

    @tells_errors
    def action_facts(self, words: str) -> None:
        self._wonder(over_facts(self.question, words), at_once=True)

    def action_subject(self, words: str) -> None:
        self._ask(lambda question: question.by(TRACING).about(words))

    def action_form(self) -> None:
        from mlxterp_tui.screens.patching_form import PatchingForm

        about, draft = self._left or (None, {})
        typed = draft if about == self.question else {}
        form = PatchingForm(self.question, self.app.setting, self.price_of, self._leave_form, typed)
        self.app.push_screen(form, self._filled)

    def _leave_form(self, draft: Draft) -> None:
        """What was typed is there again while nothing else is asked."""
        self._left = self.question, dict(draft)

    def _filled(self, question: PatchQuestion | None) -> None:
        if question is not None:
            self._left = None
            named = (question.answer, question.wrong)
            self.named_by_hand |= named != (self.question.answer, self.question.wrong)
            self.price_is_known = True
            self._wonder(question, at_once=True)

    @tells_errors
    def action_undo(self) -> None:
        self.back()

    # The prompts and their answers.

    def action_type_answers(self) -> None:
        """On the `:` line, beginning with those there are."""
        tokens = [one.token for one in self.rows.aligned.answers if one.role]
        self._begin_answers(*(token or " " for token in tokens))

    def _begin_answers(self, *tokens: str) -> None:
        words = " ".join(["answers", *(f'"{token}"' for token in tokens)])
        self.app.main.call_later(self.app.main.action_begin, words)

    @tells_errors
    def action_answers(self, words: str) -> None:
        self._check_answers(*answers_from(words))

    @work(group="answers", exclusive=True)
    async def _check_answers(self, answer: str | None, wrong: str | None) -> None:
        """Each has to be one token of the model: what is not, is said in place, and its first
        token offered."""
        found = [
            await self._checked(Answered(role, token))
            for role, token in (("answer", answer), ("wrong", wrong))
            if token is not None
        ]
        faults = [one.fault for one in found if one.fault]
        if faults:
            self._refuse(" ".join(faults))
            self._begin_answers(*(one.offered or one.token or " " for one in found))
        else:
            self.named_by_hand = answer is not None
            self._wonder(self.question.answering(answer, wrong))
            if hints := " ".join(one.hint for one in found if one.hint):
                self.app.tell(hints)

    async def _checked(self, answer: Answered) -> Answered:
        read = await self.app.session.pieces(answer.token or "")
        return checked(answer, read.tokens, self.app.main.prompt.text)

    async def action_corrupt(self) -> None:
        """The second prompt: opened where there is none, beginning as the first."""
        main = self.app.main
        await main.prompt.open_second(main.prompt.text)

    def action_span(self, end: End, by: int) -> None:
        """Move one end of what is marked."""
        if self.marked is not None:
            self.span = moved(self.marked, end, by, len(self.tokens))
            self.question = self.question.about(None)
            self.draw_rows()

    @tells_errors
    def action_substitutes(self) -> None:
        """Other words for what is marked, to choose from: the chosen prompt is the corrupt one."""
        from mlxterp_tui.screens.substitutes import SubstitutePicker

        (tokens, span), setting = self.replaceable, self.app.setting
        if span is None:
            raise BadInput("there is no prompt yet whose words could be replaced; i types one")
        request = Substitutes(
            prompt=self.app.main.prompt.text,
            span=list(span),
            **setting.request_fields(),  # type: ignore[arg-type]
        )

        async def ask() -> Result:
            session = self.app.session
            job = await session.glance(request)
            return cast(Result, await session.follow(job, lambda parts: None))

        picker = SubstitutePicker(text_at(tokens, span), span[1] - span[0], ask)
        self.app.push_screen(picker, self._replaced)

    def _replaced(self, prompt: str | None) -> None:
        if prompt is not None:
            self.app.main.prompt.place_second(prompt)
            self.app.main.prompt.count_soon()

    async def action_example(self) -> None:
        """A pair that the model reads as equally many tokens, in both prompts, and its map; where
        two prompts stand already, they are run and not lost."""
        if self.app.main.prompt.second:
            self.app.main.ask_prompt()
            return
        example = await self._fitting_example()
        await self._place(example.clean, example.corrupt)
        self.second_prompt = example.corrupt
        await self.read_anew(example.clean, self.app.setting)
        self.named_by_hand = False
        self.question = PatchQuestion().answering(example.answer, example.wrong)
        self.app.main.ask_prompt()

    async def _fitting_example(self) -> Example:
        setting = self.app.setting
        for example in EXAMPLES:
            read = [
                await self.app.session.tokenize(prompt, setting.bos, setting.chat)
                for prompt in (example.clean, example.corrupt)
            ]
            if len(read[0].ids) == len(read[1].ids):
                return example
        return EXAMPLES[0]

    async def _place(self, first: str, second: str) -> None:
        prompt = self.app.main.prompt
        prompt.text = first
        await prompt.open_second(second, typing=False)
        prompt.place_second(second)

    # From a cell onwards.

    @property
    def _cell(self) -> tuple[PatchRun, str, At]:
        return self.run, self.view.name, self.body.at

    @tells_errors
    def action_heads(self) -> None:
        """The heads of the cursor's block, position by position."""
        onwards.pair_of(self.run)
        block = onwards.block_at(*self._cell)
        asked = self.question.by("activation")
        asked = asked.with_options(
            sites=["z"], by_position=True, layers=[block], pairs=None, neurons=None
        )
        self.wanted_map = of_block(Z_POS, block)
        self._wonder(asked, at_once=True)

    @tells_errors
    def action_pattern(self) -> None:
        """What the heads of the cursor's block read, in the clean prompt."""
        main = self.app.main
        block, head = onwards.block_at(*self._cell), onwards.query_head(*self._cell)
        main.action_show_pane(PATTERN)
        main.pane.look(block, head)  # type: ignore[attr-defined]
        main.ask_prompt()

    @tells_errors
    def action_lens(self) -> None:
        """The patched run of the cursor's cell, through the lens."""
        self._go_on(onwards.patched(*self._cell))

    @tells_errors
    def action_ablate(self) -> None:
        """The clean run with the cursor's place set to zero, through the lens."""
        self._go_on(onwards.zeroed(*self._cell))

    @work(group="onwards", exclusive=True)
    async def _go_on(self, there: Onwards) -> None:
        """Its edits are the lens's: u takes them back there."""
        main = self.app.main
        self._lent = there, onwards.pair_of(self.run)
        answer = getattr(self.run.request, "answer", None)
        main.action_show_pane(LENS)
        lens = main.pane
        lens.question = lens.question.edited(there.edits).following(answer)  # type: ignore[attr-defined]
        await self._place(there.prompt, there.second)
        self.app.tell(f"in the lens: {onwards.in_words(there.edits)}, 2 comes back here")
        main.ask_prompt()

    def on_show(self) -> None:
        """Prompts that were lent to the lens, and are still as it got them, come back."""
        prompt = self.app.main.prompt
        if self._lent is not None:
            there, pair = self._lent
            if (prompt.text, prompt.second) == (there.prompt, there.second):
                self.call_later(self._place, *pair)
            self._lent = None
        super().on_show()

    @tells_errors
    def action_steer(self) -> None:
        """The `:` line, begun with a vector to add at the cursor's site, in the lens."""
        site = onwards.site(*self._cell)
        main = self.app.main
        main.action_show_pane(LENS)
        main.call_later(main.action_begin, f"edit {site}=add:")
