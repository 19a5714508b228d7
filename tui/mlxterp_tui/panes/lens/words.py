"""What the lens pane says of itself."""

from __future__ import annotations

from mlxterp_tui.panes.lens.cells import SETTLED

EMPTY = """\
The logit lens: what would the model say next, if it stopped after this block?

Each row is a block (the embeddings at the bottom), each column a token of the prompt.
A cell holds the token that comes out on top when the residual stream is read there
as if it were the last; its colour is a measure that you choose with m.

Type a prompt above, for example:  The capital of France is"""

HELP = f"""\
Each row is a block's residual stream (resid_post; the embeddings are "embed"), each column a
position. The token in a cell is what the model would say next if it stopped there.
The colour, and the little bar at the right of a cell, say the metric in the heading:
KL(final ‖ row) is how far, in nats, the row still is from the model's own answer; rank is
where the answer stands in the row's list (0 = top). {SETTLED} marks the row from which on
the answer stays on top. Beside the grid, or under it: the cell under the cursor in full.
The small line under a column is the rank of its answer, or of the target, from the embeddings at
the left to the last block at the right, log scale, higher is closer to the top. C draws it large.

The grid follows the prompt while you type; Enter keeps the run in the log. w looks through another
lens, S at another state. Edits (a, :edit, :steer, p) change the model: the status line says how
many are on, and d shows what they change. d also compares with a pinned run (P) and with a second
prompt (o): in a difference the zero is in the middle of the colours, and ≠ marks where another
token came out on top.

Raw lenses of small models speak only in the last blocks; rank and KL show the way there.
Try: t on ' Paris', then f.
"""
