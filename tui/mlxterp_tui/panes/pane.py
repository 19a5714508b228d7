"""What every pane is: a view that may ask the engine something and shows what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    Contract,
    ModelCard,
    Result,
)
from mlxterp_engine.worker.protocol import JobInfo, Tokenized
from mlxterp_tui.keymap import Where
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting

from textual.containers import Container
from textual.dom import DOMNode
from textual.message import Message
from textual.widget import Widget

if TYPE_CHECKING:
    from mlxterp_engine.runlog.record import RunRecord
    from mlxterp_tui.logbook import Stored

Ended = Literal["cancelled", "failed"]


class Answer(Protocol):
    """Who is given what comes of a request. recorded_as: the run's number in the log."""

    recorded_as: int | None

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None: ...

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None: ...

    def finish(self, result: Result) -> None: ...

    def end(self, state: Ended, reason: str) -> None: ...


class Pane(Container):
    """The main screen calls these; a pane that asks nothing leaves most as they are."""

    HELP_TITLE: ClassVar[str] = ""

    writes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of files that `exported` has the text of, before any format of its run."""

    also_at: ClassVar[tuple[Where, ...]] = ()
    """Places of the table of commands that are parts of this pane."""

    stored: RunRecord | None = None
    """The run of the log that is shown; None when it came from the engine just now."""
    recorded_as: int | None = None
    """The number in the log of the run that is shown."""

    live: ClassVar[bool] = False
    """Whether it follows the prompt while somebody types."""
    runs_at_start: ClassVar[bool] = True
    """Whether what stands at the prompt is asked as soon as the model is open."""
    shows_tokens: ClassVar[bool] = False
    """Whether it shows the prompts' tokens itself, so that they need not stand above it."""
    takes_second: ClassVar[bool] = False
    """Whether it can have a second prompt beside the first."""
    second_prompt: str | None = None
    previewed = False
    """What is shown was run in passing, while somebody typed: the log has nothing of it."""
    trouble = ""
    """Why what stands at the prompt now was not run."""
    alert = ""
    """Why the model on screen is not the plain one, for the status line: `2 edits on`."""

    lenses: Sequence[str] = ()
    """What it can be looked through, for the `:` line."""
    ablations: Sequence[str] = ()
    """What can be zeroed at its cursor, for the `:` line."""

    @property
    def heading(self) -> Widget:
        """Says exactly what is shown; stands in the row above the pane."""
        raise NotImplementedError

    maps: Sequence[str] = ()
    """The maps it can show, for the `:` line."""

    class Changed(Message):
        """The contracts or the cost are other than before."""

    class Wanted(Message):
        """The pane wants to be run again with the same prompt: a parameter changed."""

    class BesideWanted(Message):
        """What is to stand beside the run on screen is missing: see `beside_wanted`."""

    class StoredWanted(Message):
        """A run of the log is to stand beside the pane's own."""

        def __init__(self, run: int) -> None:
            super().__init__()
            self.run = run

    class WatchWanted(Message):
        """A job's progress and result are to be shown."""

        def __init__(self, info: JobInfo) -> None:
            super().__init__()
            self.info = info

    class CancelWanted(Message):
        """A job is to be stopped."""

        def __init__(self, info: JobInfo) -> None:
            super().__init__()
            self.info = info

    async def prepare(self) -> None:
        """Make room for an answer: called before the first request, not for the first frame."""

    def session_changed(self) -> None:
        """The engine's state or one of its jobs is another than before."""

    def request(self, prompt: str, setting: Setting) -> AnyRequest | None:
        """What to ask for this prompt; None when the pane asks nothing."""
        return None

    async def asked(self, prompt: str, setting: Setting) -> AnyRequest | None:
        """The same, after all that has to be known first; None also when it has said why not."""
        return self.request(prompt, setting)

    @property
    def asker(self) -> Pane:
        """The pane that the prompt asks while this one is in front."""
        return self

    def run_changed(self) -> None:
        """The run of some pane is another than before."""

    def answers(self, request: AnyRequest) -> bool:
        """Whether the whole answer to it is shown already."""
        return False

    def beside_wanted(self) -> tuple[AnyRequest, Answer] | None:
        """What it wants to have beside the run that has come, if it has not got it yet."""
        return None

    def prompts_read(self, first: Tokenized, second: Tokenized) -> None:
        """How the model reads what stands at the prompts now; without a second one, nothing."""

    def second_changed(self) -> None:
        """The second prompt is gone."""

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """The request is on its way."""

    def take_beside(self, stored: Stored) -> None:
        """Have a run of the log beside the pane's own: what `StoredWanted` asked for."""

    def take_stored(self, stored: Stored) -> None:
        """Show a run of the log as it was. BadInput when there is nothing of it to show."""

    @property
    def run_id(self) -> int | None:
        """The recorded run that a note, a tag or an outcome is about."""
        return self.recorded_as

    def remembered(self) -> dict[str, Any]:
        """How it is looked at, for the next session: what JSON can hold."""
        return {}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Look as it did. Called once, before anything is shown; may hold anything."""

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        """Some of the answer."""

    def finish(self, result: Result) -> None:
        """All of the answer."""

    def end(self, state: Ended, reason: str) -> None:
        """No more will come: cancelled or failed."""

    def recolour(self) -> None:
        """The theme or the colour map is another one."""

    @property
    def result(self) -> Result | None:
        """The finished answer that is shown: it can be written in every format there is."""
        return None

    def exported(self, suffix: str) -> str:
        """What is shown, in one of the formats of `writes`."""
        raise BadInput(f"this pane has nothing to write as {suffix}; .svg, its picture, works")

    def suggested_name(self) -> str:
        """A file name without suffix, for an export."""
        return "pane" if self.run_id is None else f"run-{self.run_id}"

    def node_at(self, where: Where) -> DOMNode:
        """Whose `action_…` methods the commands of a part are."""
        return self

    def focus_contents(self) -> None:
        self.screen.set_focus(self)

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return {}

    @property
    def cost(self) -> str:
        """What the run on screen measured: its size and its time."""
        return ""
