"""The two prompts of a patching, token under token, with what differs and what is asked of them.

How a pane uses it:

    rows = AlignedRows(id="patch-rows")        # mounted over the map; as high as it needs
    rows.show(Aligned(align(clean_tokens, corrupt_tokens), subject, answers))
    rows.show(under_noise(tokens, subject, "3σ noise, 10 draws"))      # causal tracing
    rows.point_at(position)                    # the map's cursor; None for none
    moved(subject, "first", -1, len(tokens))   # the keys that move an end of the subject

`in_words(aligned)` is what the widget itself says under the rows: a pane that is asked to run
prompts that don't fit may refuse with it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from mlxterp_engine.experiments.alignment import align
from mlxterp_tui.panes.patch.aligned_text import (
    Aligned,
    Answered,
    Column,
    columns,
    in_words,
    marks_in_words,
)
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

ROOM_FOR_WORDS = 100  # from this width on, answers say which they are
GUTTER = 9
GAP = 3
ROWS = 3
MARGIN = 8  # columns that are seen beside what is scrolled to
NOTHING = Aligned(align((), ()))

_MARKS = {"▲": "^", "┴": "-", "└": "\\", "─": "_", "┘": "/", "│": "|", "‹": "<", "›": ">"}


class AlignedRows(Widget):
    """Clean above corrupt, then a line of marks, then a sentence where something is wrong.

    Scrolls sideways by itself, to where the prompts differ or the cursor points. No keys.
    """

    DEFAULT_CSS = """
    AlignedRows {
        height: auto;
        &>.aligned-rows--label { color: $foreground-muted; }
        &>.aligned-rows--even { background: $panel; color: $foreground; }
        &>.aligned-rows--odd { background: $surface; color: $foreground; }
        &>.aligned-rows--differs { color: $text-error; background: $error-muted; text-style: bold; }
        &>.aligned-rows--noise { color: $text-warning; background: $warning-muted; }
        &>.aligned-rows--subject { text-style: underline; }
        &>.aligned-rows--cursor { text-style: bold reverse; }
        &>.aligned-rows--mark { color: $text-error; text-style: bold; }
        &>.aligned-rows--boundary { color: $foreground-disabled; }
        &>.aligned-rows--answer { color: $foreground; text-style: bold; }
        &>.aligned-rows--fault { color: $text-error; text-style: bold; }
        &>.aligned-rows--sentence { color: $text-warning; }
        &>.aligned-rows--words { color: $foreground-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"aligned-rows--{part}"
        for part in (
            "label", "even", "odd", "differs", "noise", "subject", "cursor", "mark", "boundary",
            "answer", "fault", "sentence", "words",
        )
    }  # fmt: skip

    def __init__(self, *, ascii_marks: bool | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self.aligned = NOTHING
        self._columns: tuple[Column, ...] = ()
        self._pointed: int | None = None
        self._left = 0
        self._plain = ascii_only(os.environ) if ascii_marks is None else ascii_marks

    # What is shown.

    def show(self, aligned: Aligned) -> None:
        """Other tokens, another subject, other answers."""
        if aligned == self.aligned:
            return
        height = self._height(self.size.width)
        self.aligned, self._columns = aligned, columns(aligned)
        self._scroll()
        self.refresh(layout=self._height(self.size.width) != height)

    def point_at(self, position: int | None) -> None:
        """Stand out a position of the clean prompt, and scroll to it."""
        before, self._pointed = self._pointed, position
        if position == before:
            return
        left = self._left
        self._scroll()
        if self._left != left:
            self.refresh()
            return
        for place in (before, position):
            self.refresh(self._region(place))

    def _region(self, position: int | None) -> Region:
        """Where a position's two tokens are seen; may be empty."""
        column = self._column_at(position)
        if column is None:
            return Region()
        seen = Region(GUTTER, 0, self._window, 2)
        return Region(GUTTER + column.x - self._left, 0, column.width, 2).intersection(seen)

    def _column_at(self, position: int | None) -> Column | None:
        found = (column for column in self._columns if column.position == position)
        return None if position is None else next(found, None)

    # Where it is.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._height(width)

    def _height(self, width: int) -> int:
        return self._rows + len(self._sentence(width))

    @property
    def _rows(self) -> int:
        """None where there is something else to say than tokens."""
        return ROWS if self._columns or not in_words(self.aligned) else 0

    def _sentence(self, width: int) -> list[str]:
        words = in_words(self.aligned)
        room = width - 2
        if not words or room < 1:
            return []
        return [line.plain for line in Content(words).wrap(room)]

    @property
    def _window(self) -> int:
        """Columns of the terminal that the tokens have: no more than they need."""
        answers = self._answers_width
        room = self.size.width - GUTTER - (answers + GAP if answers else 0)
        return max(1, min(room, self._length))

    @property
    def _length(self) -> int:
        """Columns that all tokens take."""
        return self._columns[-1].x + self._columns[-1].width if self._columns else 0

    def on_resize(self) -> None:
        self._scroll(anew=True)
        self.refresh()

    def _scroll(self, anew: bool = False) -> None:
        """As little as needed to see the pointed token; anew, from where what differs is seen."""
        pointed = self._column_at(self._pointed)
        if anew or pointed is None:
            self._left = 0
            self._scroll_to(self._differing or self._of_subject)
        if pointed is not None:
            self._scroll_to([pointed])

    def _scroll_to(self, wanted: Sequence[Column]) -> None:
        window, length = self._window, self._length
        if wanted:
            first, last = wanted[0].x, wanted[-1].x + wanted[-1].width
            left = max(self._left, last + MARGIN - window)
            self._left = min(left, first - MARGIN)
        self._left = max(0, min(self._left, length - window))

    @property
    def _differing(self) -> list[Column]:
        return [column for column in self._columns if column.differs]

    @property
    def _of_subject(self) -> list[Column]:
        return [column for column in self._columns if self._in_subject(column)]

    def _in_subject(self, column: Column) -> bool:
        subject, position = self.aligned.subject, column.position
        if subject is None or position is None:
            return False
        return subject[0] <= position < subject[1]

    # Painting.

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= self._rows:
            return self._sentence_line(y - self._rows)
        if not self._columns:
            words = " the prompts' tokens will stand here" if y == 0 else ""
            return Strip([self._segment(fit(words, width), "words")])
        if y == ROWS - 1:
            return self._marks(width)
        window = self._window
        tokens = self._tokens(y) if y == 0 or self._has_second else self._no_second()
        row = Strip(tokens).crop(self._left).adjust_cell_length(window, self.rich_style)
        line = [Strip([self._label(y)]), self._with_edges(row, window), *self._answer(y)]
        return Strip.join(line).adjust_cell_length(width, self.rich_style)

    @property
    def _has_second(self) -> bool:
        return bool(self.aligned.alignment.corrupt)

    def _label(self, y: int) -> Segment:
        names = ("prompt" if self.aligned.noise else "clean", "corrupt")
        return self._segment(fit(f" {names[y]}", GUTTER), "label")

    def _tokens(self, y: int) -> list[Segment]:
        segments: list[Segment] = []
        for index, column in enumerate(self._columns):
            text = fit(column.corrupt if y else column.clean, column.width)
            segments.append(Segment(text, self._ground(index, column, y)))
            segments.append(self._segment("│", "boundary"))
        return segments[:-1]

    def _ground(self, index: int, column: Column, y: int) -> Style:
        style = self._style("odd" if index % 2 else "even")
        if column.differs:
            style = self._style("differs")
        if self._in_subject(column) and y == 0:
            style += self._style("subject", partial=True)
        if self.aligned.noise and y and self._in_subject(column):
            style = self._style("noise")
        if column.position is not None and column.position == self._pointed:
            style += self._style("cursor", partial=True)
        return style

    def _no_second(self) -> list[Segment]:
        return [self._segment("· · ·", "words")]

    def _with_edges(self, row: Strip, window: int) -> Strip:
        """A sign at each end beyond which there are more tokens."""
        left, right = self._left > 0, self._left + window < self._length
        return Strip.join(
            [
                Strip([self._segment("‹", "words")] if left else []),
                row.crop(int(left), window - int(right)),
                Strip([self._segment("›", "words")] if right else []),
            ]
        )

    # Marks under the rows.

    def _marks(self, width: int) -> Strip:
        """What differs and what the subject is; behind it, where there is room, what that means."""
        drawn = list(" " * max(self._length, 1))
        for column in self._of_subject:
            _write(drawn, column.x, "─" * (column.width + 1))
        if subject := self._of_subject:
            _write(drawn, subject[0].x, "└")
            _write(drawn, subject[-1].x + subject[-1].width - 1, "┘")
            _write(drawn, subject[-1].x + subject[-1].width, " ")
            if subject[0].width == len(subject) == 1:
                _write(drawn, subject[0].x, "┴")
        for column in self._differing:
            _write(drawn, column.x + (column.width - 1) // 2, "▲")
        line = "".join(drawn)[self._left : self._left + self._window].rstrip()
        words, used = self._ascii(marks_in_words(self.aligned)), GUTTER + len(line)
        room = width - used - 3
        key = f"   {words}" if cell_len(words) <= room else ""
        marks = [
            self._segment("".join(signs), "mark" if differs else "words")
            for differs, signs in groupby(line, lambda sign: sign == "▲")
        ]
        segments = [Segment(" " * GUTTER, self.rich_style), *marks, self._segment(key, "words")]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    # The answers, at the right.

    @property
    def _answers_width(self) -> int:
        return max((cell_len(self._answer_text(one)) for one in self._shown_answers), default=0)

    @property
    def _shown_answers(self) -> tuple[Answered, ...]:
        return self.aligned.answers[:2]

    def _answer_text(self, answer: Answered) -> str:
        shown = self._shown_answers
        tokens = max(cell_len(_token(one)) for one in shown)
        words = f"{fit(_token(answer), tokens)} {answer.figure}".rstrip()
        if self.size.width < ROOM_FOR_WORDS:
            return words
        return f"{answer.role:<{max(len(one.role) for one in shown)}} {words}"

    def _answer(self, y: int) -> list[Strip]:
        if y >= len(self._shown_answers):
            return []
        answer = self._shown_answers[y]
        style = "fault" if answer.fault else "answer"
        return [
            Strip([Segment(" " * GAP, self.rich_style)]),
            Strip([self._segment(self._answer_text(answer), style)]),
        ]

    def _sentence_line(self, line: int) -> Strip:
        found, width = self._sentence(self.size.width), self.size.width
        words = found[line] if line < len(found) else ""
        return Strip([self._segment(fit(f" {words}", width), "sentence")])

    # Styles and signs.

    def _style(self, part: str, partial: bool = False) -> Style:
        """partial: that which the part adds, without the widget's own colours."""
        return self.get_component_rich_style(f"aligned-rows--{part}", partial=partial)

    def _segment(self, text: str, part: str) -> Segment:
        return Segment(self._ascii(text), self._style(part))

    def _ascii(self, text: str) -> str:
        return "".join(_MARKS.get(sign, sign) for sign in text) if self._plain else text


def _token(answer: Answered) -> str:
    return "· · ·" if answer.token is None else quoted(answer.token) if answer.token else ""


def _write(drawn: list[str], at: int, text: str) -> None:
    for place, sign in enumerate(text, at):
        if 0 <= place < len(drawn):
            drawn[place] = sign
