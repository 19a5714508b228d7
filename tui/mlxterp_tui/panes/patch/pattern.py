"""A head's attention pattern: from each token, where it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import AnyRequest, BadInput, Contract, ModelCard, Result
from mlxterp_engine.experiments.attention import Attention
from mlxterp_tui.amounts import seconds
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens.inspector import write
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.panes.patch.cells import NARROW
from mlxterp_tui.panes.patch.scale import probability
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import BLANK, Cell
from mlxterp_tui.widgets.legend import Legend
from mlxterp_tui.widgets.token_text import legible

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

EMPTY = """\
An attention pattern: from each token of the prompt, which tokens does this head read?

A on a cell of a patching map shows that cell's head. Enter in the prompt asks again."""

HELP = """\
Rows are the tokens that read (destinations), columns those that are read (sources). A row adds up
to 1. Tokens read what stands before them and themselves; the rest is blank. , and . go through the
heads of the block, n and N through the blocks.
"""


class PatternPage(Pane, can_focus=True):
    """One head at a time, of the blocks that were asked for."""

    HELP_TITLE = "attention pattern"
    HELP = HELP
    writes = (".tsv",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("pattern")]
    DEFAULT_CSS = """
    PatternPage { layout: vertical; height: 1fr; }
    #pattern-empty { padding: 1 3; color: $text-muted; }
    #pattern-grid, #pattern-cell { display: none; }
    #pattern-cell { height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; }
    PatternPage.-filled #pattern-empty { display: none; }
    PatternPage.-filled #pattern-grid, PatternPage.-filled #pattern-cell { display: block; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="pattern")
        self.block, self.head, self.blocks = 0, 0, 1
        self.grid = CellGrid(id="pattern-grid", corner="reads", comfortable=NARROW)
        self._heading = Legend(id="pattern-legend")
        self._result: Result | None = None
        self._is_new = False

    def on_mount(self) -> None:
        self.draw()

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="pattern-empty")
        yield self.grid
        yield Static(id="pattern-cell")

    @property
    def heading(self) -> Widget:
        return self._heading

    def look(self, block: int, head: int) -> None:
        """What is asked next, and which head of it is shown."""
        self.block, self.head = block, head

    def focus_contents(self) -> None:
        self.screen.set_focus(self.grid if self.has_class("-filled") else self)

    # The run.

    def request(self, prompt: str, setting: Setting) -> Attention:
        return Attention(prompt=prompt, layers=[self.block], **setting.request_fields())  # type: ignore[arg-type]

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        self.blocks = card.layers if card is not None else self.blocks

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        """It comes whole."""

    def finish(self, result: Result) -> None:
        self._result, self.blocks = result, result.meta.model.layers
        layers = result.arrays["layers"].tolist()
        if self.block not in layers:
            self.block = layers[0]
        self.head = min(self.head, self._heads - 1)
        self.add_class("-filled")
        self._is_new = True
        self.draw()
        if self.has_focus:
            self.focus_contents()
        self.post_message(self.Changed())

    def end(self, state: Ended, reason: str) -> None:
        """What is on screen stays."""

    def take_stored(self, stored: Stored) -> None:
        if stored.result is None:
            raise BadInput(f"run {stored.record.id} has no patterns; v shows what is known of it")
        self.finish(stored.result)

    @property
    def result(self) -> Result | None:
        return self._result

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self._result.meta.contracts if self._result else {}

    @property
    def cost(self) -> str:
        if self._result is None:
            return ""
        return f"{self._heads} heads · {seconds(self._result.meta.elapsed_s)}"

    # What is shown.

    @property
    def _tokens(self) -> Sequence[str]:
        return self._result.meta.tokens[0] if self._result else ()

    @property
    def _heads(self) -> int:
        return self._result.arrays["pattern"].shape[1] if self._result else 1

    def weight(self, row: int, column: int) -> float:
        """How much the token of that row reads of the one of that column."""
        assert self._result is not None
        layer = self._result.arrays["layers"].tolist().index(self.block)
        return float(self._result.arrays["pattern"].values[layer, self.head, row, column])

    def _most_read(self, row: int) -> int:
        return max(range(row + 1), key=lambda column: self.weight(row, column))

    def draw(self) -> None:
        if self._result is None or not self.grid.is_attached:
            return
        tokens, size = self._tokens, range(len(self._tokens))
        rows = [
            [self._cell(row, column) if column <= row else BLANK for column in size] for row in size
        ]
        self.grid.ramp = self.app.appearance.ramp
        labels = [f"{row:>2} {legible(token)}" for row, token in enumerate(tokens)]
        widest = max(map(cell_len, labels), default=0)
        labels = [label + " " * (widest - cell_len(label)) for label in labels]
        self.grid.replace(labels, list(tokens), rows, {})
        if self._is_new:
            last, self._is_new = len(tokens) - 1, False
            self.grid.cursor = (last, self._most_read(last))
        title = f"head {self.block}.{self.head} · blocks.{self.block}.attn.pattern[{self.head}]"
        self._heading.set_scale(f"{title} · reads", "0", "1", ramp=self.app.appearance.ramp)
        self._tell()

    def _cell(self, row: int, column: int) -> Cell:
        weight = self.weight(row, column)
        return Cell(probability(weight) if weight >= 0.001 else "0", weight)

    @on(CellGrid.CursorMoved)
    def _moved(self, event: CellGrid.CursorMoved) -> None:
        event.stop()
        self._tell()

    def _tell(self) -> None:
        write(self, "#pattern-cell", Content(self._in_words()))

    def _in_words(self) -> str:
        if self._result is None:
            return ""
        row, column = self.grid.cursor
        said = f"position {row} {quoted(self._tokens[row])}"
        if column > row:
            return f"{said} can't read position {column}: it comes later"
        read = f"reads position {column} {quoted(self._tokens[column])}"
        best = self._most_read(row)
        most = f"most: {best} {quoted(self._tokens[best])} {probability(self.weight(row, best))}"
        return f"{said} {read}: {self.weight(row, column):.4f} · {most}"

    def recolour(self) -> None:
        self.draw()

    # Keys.

    def action_head(self, step: int) -> None:
        self.head = (self.head + step) % self._heads
        self.draw()

    def action_block(self, step: int) -> None:
        """Another block's patterns are asked for, where they are not there yet."""
        self.block = (self.block + step) % self.blocks
        if self._result is not None and self.block in self._result.arrays["layers"].tolist():
            self.draw()
        else:
            self.post_message(self.Wanted())

    def action_leave(self) -> None:
        self.app.main.leave_page()

    def action_copy_cell(self) -> None:
        self.post_message(CopyWanted(self._in_words() + "\n"))

    @tells_errors
    def action_copy_table(self) -> None:
        self.post_message(CopyWanted(self.exported(".tsv")))

    def exported(self, suffix: str) -> str:
        """A line a destination, a column a source."""
        if self._result is None:
            raise BadInput("there is no pattern to write yet; A on a cell of a map shows one")
        heads = ["", *(json.dumps(token, ensure_ascii=False) for token in self._tokens)]
        lines = ["\t".join(heads)]
        for row, token in enumerate(heads[1:]):
            values = [f"{self.weight(row, column):.6g}" for column in range(len(self._tokens))]
            lines.append("\t".join([token, *values]))
        return "\n".join(lines) + "\n"

    def suggested_name(self) -> str:
        return f"attention-{self.block}-{self.head}"

    def remembered(self) -> dict[str, Any]:
        return {"block": self.block, "head": self.head}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        block, head = remembered.get("block"), remembered.get("head")
        if isinstance(block, int) and isinstance(head, int) and min(block, head) >= 0:
            self.look(block, head)
