"""Patchscopes on screen: a state is written into another prompt, and the model says what it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    Contract,
    GeneratedToken,
    ModelCard,
    Patchscope,
    Result,
    Started,
)
from mlxterp_tui.amounts import seconds
from mlxterp_tui.command_line import whole_number
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens.inspector import write
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.panes.patchscope import run as patchscope_run
from mlxterp_tui.panes.patchscope import text as patchscope_text
from mlxterp_tui.panes.patchscope.run import PatchscopeQuestion, PatchscopeRun, question_of
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.bar_list import BarList
from mlxterp_tui.widgets.token_strip import TokenStrip
from mlxterp_tui.widgets.token_text import fit

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

REST = 0.15  # seconds after the last key before the model is asked
BESIDE = 100  # columns from which the readings stand beside the tokens
MOST_READINGS = 200
LENS = "lens"

EMPTY = """\
A patchscope asks the model itself what a state means (Ghandeharioun et al. 2024).

The state of one token, behind one block, is written over a token of another prompt;
then the model goes on. The prompt here repeats what stands before each arrow:
cat -> cat, 1135 -> 1135, hello -> hello, and then comes the state.

v on a cell of the lens reads that state; :patchscope blocks.8.resid_post@-1 does, too."""

HELP = """\
The state at `read` replaces the one at `written`, where the target prompt has its token reversed;
the model then goes on greedily, and the list holds the likeliest first tokens. j and k read the
block below and above, h and l the position before and after: the readings gather beside it, or
under it. < and > write into another block (= into the state's own), , and . over another token.
:target-prompt gives another prompt, :max-tokens more text; u takes the last change back.

patch_changes says that the patch took hold: other logits, where the two states differ.
cache_equals_full: the text was written by a cache, and a whole pass gives the same logits.
"""


class PatchscopePage(Pane, can_focus=True):
    """What is asked is a question; each change of it is asked after a rest."""

    HELP_TITLE = "patchscope"
    HELP = HELP
    writes = (".tsv",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("patchscope")]
    DEFAULT_CSS = """
    PatchscopePage { layout: vertical; height: 1fr; padding: 0 1; }
    PatchscopePage Static { height: auto; }
    #patchscope-empty { padding: 1 2; color: $text-muted; }
    #patchscope-body { display: none; height: 1fr; }
    PatchscopePage.-filled #patchscope-empty { display: none; }
    PatchscopePage.-filled #patchscope-body { display: block; }
    #patchscope-read, #patchscope-written { text-wrap: nowrap; text-overflow: ellipsis; }
    #patchscope-target { max-height: 4; margin: 0 0 0 9; }
    #patchscope-said { height: auto; max-height: 8; margin: 1 0; padding: 0 1 0 9; }
    #patchscope-below { height: 1fr; layout: vertical; }
    #patchscope-best { height: auto; max-height: 6; width: 1fr; }
    #patchscope-readings { height: 1fr; margin: 1 0 0 0; text-wrap: nowrap; text-overflow: ellipsis;
        color: $foreground-muted; }
    PatchscopePage.-beside #patchscope-below { layout: horizontal; }
    PatchscopePage.-beside #patchscope-best { width: 46; max-height: 12; }
    PatchscopePage.-beside #patchscope-readings { width: 1fr; margin: 0 0 0 4; height: 1fr; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="patchscope")
        self.run = PatchscopeRun()
        self.question: PatchscopeQuestion | None = None
        self.readings: list[PatchscopeRun] = []
        self._begin_with = PatchscopeQuestion("", 0)
        self._before: list[PatchscopeQuestion] = []
        self._pending = False  # a question was changed and not yet asked
        self._next = PatchscopeRun()
        self._resting: Timer | None = None
        self._heading = Static(id="patchscope-heading")

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="patchscope-empty")
        with Vertical(id="patchscope-body"):
            yield Static(id="patchscope-read")
            yield Static(id="patchscope-written")
            yield TokenStrip(id="patchscope-target")
            with VerticalScroll(id="patchscope-said", can_focus=False):
                yield Static(id="patchscope-text")
            with Horizontal(id="patchscope-below"):
                yield BarList(id="patchscope-best", empty="the likeliest first tokens will follow")
                yield Static(id="patchscope-readings")

    def on_mount(self) -> None:
        self.query_one(TokenStrip).can_focus = False
        self.draw()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= BESIDE, "-beside")
        self.call_after_refresh(self.draw)

    @property
    def heading(self) -> Widget:
        return self._heading

    # The run.

    def request(self, prompt: str, setting: Setting) -> Patchscope | None:
        if self.question is None:
            raise BadInput("no state is chosen yet; v on a cell of the lens chooses one")
        return self.question.request(prompt, setting)

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        self._pending = False
        asked = request if isinstance(request, Patchscope) else None
        self._next = PatchscopeRun(asked, "waiting", layers=card.layers if card else 1)

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        for part in parts:
            if isinstance(part, Started):
                self._next = self._next.read(part)
        made = [part for part in parts if isinstance(part, GeneratedToken)]
        self._next = self._next.with_tokens(made)
        if made:
            self._take(self._next)

    def finish(self, result: Result) -> None:
        self._next = self._next.finished(result)
        self._gather(self._next)
        self._take(self._next)

    def _gather(self, run: PatchscopeRun) -> None:
        """The newest last; what was read before moves to the end."""
        others = [one for one in self.readings if one.request != run.request]
        self.readings = [*others, run][-MOST_READINGS:]

    def end(self, state: Ended, reason: str) -> None:
        """What is on screen stays there where the new run came to nothing."""
        if self._next.made:
            self._take(self._next.ended(state, reason))
        elif self.run.request is not None:
            self.question = question_of(self.run.request)
            self.draw()

    def take_stored(self, stored: Stored) -> None:
        run = patchscope_run.stored_run(stored)
        assert run.request is not None
        self._gather(run)
        self._take(run)
        if not self._pending:
            self.question = question_of(run.request)

    def _take(self, run: PatchscopeRun) -> None:
        self.run = run
        if self.question is None and run.request is not None:
            self.question = question_of(run.request)
        self.draw()
        self.post_message(self.Changed())

    # Drawing.

    def draw(self) -> None:
        run = self.run
        self.set_class(run.state != "empty", "-filled")
        self._heading.update("patchscope · identity" if self._is_identity else "patchscope")
        if run.state == "empty" or not self.is_mounted:
            return
        write(self, "#patchscope-read", patchscope_text.source(run))
        write(self, "#patchscope-written", patchscope_text.target(run))
        write(self, "#patchscope-text", patchscope_text.continuation(run))
        strip = self.query_one(TokenStrip)
        strip.set_tokens(run.target_tokens)
        strip.cursor = run.target_position if run.target_tokens else None
        self.query_one(BarList).set_rows(patchscope_text.best(run))
        write(self, "#patchscope-readings", self._listed)

    @property
    def _is_identity(self) -> bool:
        request = self.run.request
        return request is None or request.target_prompt == patchscope_run.IDENTITY_PROMPT

    @property
    def _listed(self) -> Content:
        """The last readings, the newest on top, as many as there is room for."""
        place = self.query_one("#patchscope-readings")
        lines = [patchscope_text.reading(run).split("\t") for run in reversed(self.readings)]
        if len(lines) < 2:
            return Content("")
        wide = max((len(where) for where, _ in lines), default=0)
        room = max(1, place.size.height - 1)
        heads = Content.styled("readings, the newest first", "$foreground-muted")
        return Content("\n").join(
            [heads, *(Content(f"{fit(where, wide)}  {said}") for where, said in lines[:room])]
        )

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.run.contracts

    @property
    def cost(self) -> str:
        run = self.run
        if run.result is not None:
            return f"{len(run.result.arrays['token_ids'].tolist())} tokens · " + seconds(
                run.result.meta.elapsed_s
            )
        return f"{run.state}" if run.state in ("cancelled", "failed") else ""

    @property
    def result(self) -> Result | None:
        return self.run.result

    # Asking.

    def read_cursor(self) -> None:
        """The state under the lens's cursor."""
        lens = self.app.main.pane_named(LENS)
        run, cursor = lens.body.front, lens.view.cursor  # type: ignore[attr-defined]
        if run.request is None or not run.positions:
            raise BadInput("there is no cell to read yet; run a prompt in the lens first")
        if getattr(lens, "alert", ""):
            self.app.tell("the lens shows an edited run; a patchscope reads the plain one's state")
        self.app.main.prompt.text = run.request.prompt
        question = self.question or self._begin_with
        self.ask(question.at_state(run.site(cursor.layer), cursor.pos), at_once=True)

    def read_words(self, words: str) -> None:
        """`blocks.8.resid_post@3`, and options as `mlxterp-tui run patchscope` has them."""
        self.ask(question_from_words(words), at_once=True)

    def ask(self, question: PatchscopeQuestion, at_once: bool = False) -> None:
        """Change the question, and ask it when no more keys come."""
        if question == self.question and not at_once:
            return
        if self.question is not None:
            self._before = [*self._before, self.question][-MOST_READINGS:]
        self.question, self._pending = question, True
        self._ask(at_once)

    def _ask(self, at_once: bool) -> None:
        if self._resting is not None:
            self._resting.stop()
        if at_once:
            self.post_message(self.Wanted())
        else:
            self._resting = self.set_timer(REST, lambda: self.post_message(self.Wanted()))

    @tells_errors
    def _change(self, change: Callable[[PatchscopeQuestion], PatchscopeQuestion]) -> None:
        if self.question is None:
            raise BadInput("no state is chosen yet; v on a cell of the lens chooses one")
        self.ask(change(self.question))

    # Keys.

    def action_move(self, blocks: int, positions: int) -> None:
        self._change(lambda question: question.moved(blocks, positions, self.run))

    def action_into(self, blocks: int) -> None:
        self._change(lambda question: question.into(blocks, self.run.layers))

    def action_into_own(self) -> None:
        self._change(lambda question: question.at_state(question.site, question.position))

    def action_over(self, positions: int) -> None:
        self._change(lambda question: question.writing_at(positions, self.run.target_tokens))

    def action_target_prompt(self, text: str) -> None:
        identity = patchscope_run.IDENTITY_PROMPT
        wanted = identity if text == "identity" else text.replace("\\n", "\n")
        self._change(lambda question: question.in_prompt(wanted))

    @tells_errors
    def action_max_tokens(self, words: str) -> None:
        most = whole_number("max-tokens", words, 1, patchscope_run.MOST_TOKENS)
        self._change(lambda question: question.lasting(most))

    def action_longer(self, tokens: int) -> None:
        self._change(lambda question: question.lasting(question.max_tokens + tokens))

    @tells_errors
    def action_undo(self) -> None:
        if not self._before:
            raise BadInput("there is no change to take back")
        *self._before, self.question = self._before
        self._ask(at_once=True)

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self.run.text + "\n"))

    @tells_errors
    def action_copy_all(self) -> None:
        self.post_message(CopyWanted(self.exported(".tsv")))

    def action_leave(self) -> None:
        self.app.main.action_show_pane(LENS)

    # What is taken away, and kept.

    def exported(self, suffix: str) -> str:
        if not self.readings:
            raise BadInput("there is no reading to write yet; v on a cell of the lens reads one")
        return patchscope_text.tsv(self.readings)

    def suggested_name(self) -> str:
        request = self.run.request
        where = request.site.replace(".", "-") if request else "none"
        return f"patchscope-{where}"

    def remembered(self) -> dict[str, Any]:
        question = self.question or self._begin_with
        return {"target_prompt": question.target_prompt, "max_tokens": question.max_tokens}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """The target prompt and the length of the last session, where they are such."""
        text, tokens = remembered.get("target_prompt"), remembered.get("max_tokens")
        if isinstance(text, str) and text:
            self._begin_with = self._begin_with.in_prompt(text)
        if isinstance(tokens, int):
            self._begin_with = self._begin_with.lasting(tokens)


def question_from_words(words: str) -> PatchscopeQuestion:
    """BadInput says which word is wrong."""
    from mlxterp_tui.commands.parser import Parser
    from mlxterp_tui.commands.request_options import add_options

    try:
        place, *options = shlex.split(words)
    except ValueError as error:
        raise BadInput(f"{words!r} can't be read ({error}); close the quotes") from None
    site, at, position = place.partition("@")
    parser = Parser(prog="run patchscope", add_help=False)
    add_options(parser, Patchscope)
    given = ["--prompt", "-", "--site", site, *(["--position", position] if at else [])]
    found = vars(parser.parse_args([*given, *options]))
    return question_of(Patchscope(**{n: v for n, v in found.items() if v is not None}))
