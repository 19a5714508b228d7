"""What the patch pane says of itself, and the example that it begins with."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """A pair that small models solve."""

    clean: str
    corrupt: str
    answer: str
    wrong: str


IOI = Example(
    "When Mary and John went to the store, John gave a drink to",
    "When Mary and John went to the store, Mary gave a drink to",
    " Mary",
    " John",
)

CAT = Example("The cat sat on the mat", "The dog sat on the mat", "s", "e")
"""For models that take the names apart."""

EXAMPLES = (IOI, CAT)

EMPTY = f"""\
Patching: which places of the model carry what makes the answer? Two prompts of equally many tokens
call for different answers. Place by place, what the model computed for one is written into the run
of the other: 0, nothing moved; 1, this place alone brings its answer.

Enter, here, runs both prompts, or this example (Wang et al. 2022):

  {IOI.clean}{IOI.answer}
  {IOI.corrupt}{IOI.wrong}

With prompts of your own: type the clean one above, o for the corrupt one, Enter in either. t names
the answers; without it they are what the model itself says."""

HELP = """\
Each cell of the map is one patched run: the state that one prompt has there was written into the
run of the other. The value is how far that moves the metric from the unpatched run's (0) to the
source's (1); it is not clipped. denoise writes clean states into the corrupt run: which places are
enough to bring the answer? noise writes corrupt ones into the clean run: which ones are needed?
Rows are blocks, the first at the bottom; columns are positions, or heads at all positions at once.
A dim dot is not known yet, × could not be computed, • marks the ten largest cells, ≠ tokens that
differ. x stops a run and keeps its cells; the same question, asked again, goes on from there.

s shows another site's map, n goes through the ten largest cells, and the text beside the map says
in words what the cell under the cursor is. From a cell onwards: p its block's heads by position,
A its attention pattern, v the lens of the run with just this patch, a the same place zeroed, V a
vector added there. u goes back to the run before.

M takes another method: attribution patching estimates all cells from one gradient, and shows exact
values of the largest beside; path patching sends a head's output to chosen receivers alone; causal
tracing has one prompt, puts noise on its subject, and restores one state at a time.

Above the map both prompts stand token under token: ▲ is what differs, └┘ what is marked, and beside
each is what the metric is there. They must have equally many tokens: b proposes other words for
what is marked, ( ) and { } move its ends; or O pads the shorter one. O shows every option, with
its price; :pairs ioi patches a set and shows means.
"""
