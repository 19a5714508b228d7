"""The cell under the cursor in words and numbers, for a column beside the map or a strip."""

from __future__ import annotations

import math

from mlxterp_engine.experiments.causal_tracing import BUCKETS
from mlxterp_tui.panes.patch.best import digits
from mlxterp_tui.panes.patch.exact import exact_at
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.neurons import neuron_of
from mlxterp_tui.panes.patch.places import address, head_of, position_of, tokens_there
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.sites import shown
from mlxterp_tui.panes.patch.text import measured, member_word, raw, window_at

from rich.cells import cell_len
from textual.content import Content

NAME_CELLS = 18


def lines(run: PatchRun, name: str, of: Of, at: At) -> list[Content]:
    """For a column: the exact site, what stands there, its value, what that means."""
    found = run.map(name, of)
    if found is None:
        return []
    return [
        _address(run, name, at),
        *map(Content, _where(run, found, at)),
        Content(""),
        *_values(run, found, of, at),
    ]


def line(run: PatchRun, name: str, of: Of, at: At) -> Content:
    """For a strip: the site, its value, what stands there."""
    found = run.map(name, of)
    if found is None:
        return Content("")
    said = [f"{title}: {words}" for title, words in _numbers(run, found, of, at)[:2]]
    pieces = [*(said or [state(run, found, at)]), *_where(run, found, at)[:1]]
    return Content.assemble(_address(run, name, at), " · ", " · ".join(pieces))


def in_words(run: PatchRun, name: str, of: Of, at: At) -> str:
    """One sentence, to be copied."""
    return line(run, name, of, at).plain


def state(run: PatchRun, found: PatchMap, at: At) -> str:
    """Why a cell has no value; "" where it has one."""
    value = found.value(at)
    if at in found.missing:
        return "the model has no such place"
    if value is None:
        return "not computed yet" if run.running else "not computed"
    return "failed: the result is not a number (×)" if math.isnan(value) else ""


def _address(run: PatchRun, name: str, at: At) -> Content:
    return Content.styled(address(run, name, at), "$accent bold")


def _where(run: PatchRun, found: PatchMap, at: At) -> list[str]:
    """What stands there: the site in words, tokens, heads."""
    words = [shown(found.name).words]
    if found.kind == "bucket":
        words = [f"{BUCKETS[at.column]} token", *words]
    position, head = position_of(found, at), head_of(found, at)
    if position is not None:
        words.insert(0, f"position {position} {tokens_there(run, position)}".rstrip())
    elif head is not None:
        words.append("at all positions")
    if found.kind == "neuron":
        words = [f"neuron {neuron_of(at)} of block {found.block}", *words[:1]]
    if found.kind == "group" and head is not None:
        words.insert(0, f"key-value head {head}, read by {_query_heads(run, head)}")
    elif head is not None:
        words.insert(0, f"head {at.row if found.block is None else found.block}.{head}")
    return [", ".join(words), *_window(run, found, at)]


def _query_heads(run: PatchRun, group: int) -> str:
    heads = run.sizes.heads_of_group(group)
    return f"query heads {heads[0]}–{heads[-1]}" if len(heads) > 1 else f"query head {heads[0]}"


def _window(run: PatchRun, found: PatchMap, at: At) -> list[str]:
    """Which blocks are given back together."""
    if not run.is_tracing:
        return []
    if found.name.partition("_")[0] == "hidden" or found.measure == "count":
        return []
    blocks = window_at(run, at.row)
    if len(blocks) < 2:
        return []
    return [f"given back together: blocks {blocks[0]} to {blocks[-1]}"]


def _values(run: PatchRun, found: PatchMap, of: Of, at: At) -> list[Content]:
    numbers = _numbers(run, found, of, at)
    if not numbers:
        return [Content.styled(state(run, found, at), "$foreground-muted")]
    return [_pair(name, value) for name, value in numbers]


def _numbers(run: PatchRun, found: PatchMap, of: Of, at: At) -> list[tuple[str, str]]:
    """Name and value, the most telling first; nothing of a cell without a value."""
    value = found.value(at)
    if value is None or math.isnan(value):
        return []
    if found.measure == "spread":
        return [("sd", digits(value, "spread")), *_mean(run, found, at)]
    if found.measure == "count":
        return [("largest here", f"{value:.0f} of {_facts(run)} facts")]
    if found.measure == "gain":
        said = [("indirect effect", digits(value, "gain")), *_of_facts(run, found, of, at)]
    elif found.measure == "probability":
        said = [(measured(run), digits(value, found.measure)), *_won(run, value, of)]
    elif run.experiment == "attribution-patching":
        said = _estimated(run, found, of, at)
    else:
        said = [("effect", digits(value, "effect")), *_raw(run, value, of)]
    return [*said, *(_spread(run, found, at) if of == "mean" else [])]


def _of_facts(run: PatchRun, found: PatchMap, of: Of, at: At) -> list[tuple[str, str]]:
    """Of a mean over facts: its interval, how many facts have such tokens, and are largest here."""
    if run.result is None or of != "mean":
        return []
    arrays, said = run.result.arrays, []
    if f"{found.name}_low" in arrays:
        low, high = (float(arrays[f"{found.name}_{end}"].values[at]) for end in ("low", "high"))
        if math.isfinite(low):
            said.append(("95 % interval", f"{digits(low, 'gain')} … {digits(high, 'gain')}"))
    tokens = arrays["bucket_tokens"].values
    having = sum(tokens[fact, at.column] > 0 for fact in range(arrays["bucket_tokens"].shape[0]))
    count = arrays.get(found.name.replace("_effect", "_argmax_count"))
    here = f", largest here in {count.values[at]}" if count is not None else ""
    return [*said, ("facts", f"{having} of {_facts(run)} have such tokens{here}")]


def _facts(run: PatchRun) -> int:
    return run.result.arrays["bucket_tokens"].shape[0] if run.result is not None else 0


def _estimated(run: PatchRun, found: PatchMap, of: Of, at: At) -> list[tuple[str, str]]:
    """The estimate, and what patching the cell gave, if it was patched."""
    exact = exact_at(run, found.name, at, of)
    said = [("effect, estimated", digits(found.value(at) or 0.0, "effect"))]
    if exact is None:
        return [*said, ("effect, patched", "not computed")]
    return [
        *said,
        ("effect, patched", digits(exact.effect, "effect")),
        *_raw(run, exact.effect, of),
    ]


def _raw(run: PatchRun, effect: float, of: Of = "mean") -> list[tuple[str, str]]:
    """The metric itself of the patched run, and between which ends."""
    metric, ends = run.raw(effect, of), run.ends_of(of)
    if metric is None or ends is None:
        return []
    between = f"{raw(ends.corrupt)} … {raw(ends.clean)}"
    return [(_metric_name(run), raw(metric)), ("corrupt … clean", between)]


def _metric_name(run: PatchRun) -> str:
    names = {"logit-diff": "logit difference", "prob": "probability", "kl": "KL(clean ‖ run)"}
    return names[str(getattr(run.request, "metric", "logit-diff"))]


def _won(run: PatchRun, value: float, of: Of) -> list[tuple[str, str]]:
    """The absolute indirect effect: what restoring it wins over noise alone."""
    ends = run.ends_of(of)
    return [] if ends is None else [("indirect effect", digits(value - ends.corrupt, "gain"))]


def _spread(run: PatchRun, found: PatchMap, at: At) -> list[tuple[str, str]]:
    """Beside a mean, how far apart its parts are."""
    value = run.spread_at(found.name, at)
    if value is None or math.isnan(value):
        return []
    return [(f"sd, {run.members(found.name)} {member_word(run)}s", digits(value, "spread"))]


def _mean(run: PatchRun, found: PatchMap, at: At) -> list[tuple[str, str]]:
    mean = run.maps[found.name]
    value = mean.value(at)
    return [] if value is None else [("mean", digits(value, mean.measure))]


def _pair(name: str, value: str) -> Content:
    padding = " " * max(1, NAME_CELLS - cell_len(name))
    return Content.assemble((name, "$foreground-muted"), padding, value)
