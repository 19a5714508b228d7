"""What a patching run is, in the words over its map; and the map as text for other programs."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import AttributionPatching, BadInput
from mlxterp_engine.experiments.causal_tracing import (
    SAMPLES,
    SEVERED,
    CausalTracing,
    default_window,
    window_blocks,
)
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_engine.experiments.path_patching import PathPatching
from mlxterp_tui.panes.patch.maps import PatchMap
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.places import address, block_of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import MINUS, probability
from mlxterp_tui.token_text import quoted

from textual.content import Content


def heading(run: PatchRun, name: str, of: Of = "mean") -> str:
    """What every cell is: the site, the way, what is measured. Stands beside the scale."""
    found = run.map(name, of)
    if found is None:
        return ""
    manner, measure = _manner(run, name), _cells_say(run, found)
    said = [measure, *manner] if run.is_tracing else [*manner, measure]
    pieces = [which(run, name, of) + name, *said]
    return " · ".join(piece for piece in pieces if piece)


def which(run: PatchRun, name: str, of: Of) -> str:
    """`mean of 20 pairs of `, `sd over 20 pairs of `, `pair 3 of 20: `; nothing of one pair.
    Before the end: `mean of 2 of 20 pairs of `."""
    many, noun = run.members(name), member_word(run)
    if run.result is None and name in run.told:
        return f"mean of {come(run, name)} of "
    if of == "sd":
        return f"sd over {many} {noun}s of "
    if isinstance(of, int):
        return f"{noun} {of + 1} of {many}: "
    return f"mean of {many} {noun}s of " if many > 1 and run.is_set else ""


def come(run: PatchRun, name: str) -> str:
    """`2 of 20 pairs`: those that the mean is of before the end."""
    total = f" of {run.progress.total:.0f}" if run.progress is not None else ""
    return f"{run.told.get(name, 0)}{total} {member_word(run)}s"


def member_word(run: PatchRun) -> str:
    """What the map is a mean over."""
    if not run.is_tracing:
        return "pair"
    return "fact" if run.is_set else "draw"


def ends_words(run: PatchRun, of: Of = "mean") -> str:
    """`0 = corrupt −5.49, 1 = clean 6.11`; of tracing `p .27 clean, .085 with noise`."""
    ends = run.ends_of(of)
    if ends is None:
        return ""
    if run.is_tracing:
        return f"p {probability(ends.clean)} clean, {probability(ends.corrupt)} with noise"
    clean, corrupt = raw(ends.clean), raw(ends.corrupt)
    if run.direction == "noise":
        return f"0 = clean {clean}, 1 = corrupt {corrupt}"
    return f"0 = corrupt {corrupt}, 1 = clean {clean}"


def measured(run: PatchRun) -> str:
    """`logit difference ' Mary' − ' John'`, exactly."""
    request = run.request
    if isinstance(request, CausalTracing):
        token = answer_of(run)
        return f"p({quoted(token)})" if token else "p(answer)"
    if not isinstance(request, PairRequest):
        return ""
    answer, wrong = quoted(request.answer or "answer"), quoted(request.wrong or "wrong")
    if request.pairs is not None or request.answer is None:
        answer, wrong = "answer", "wrong"
    return {
        "logit-diff": f"logit difference {answer} {MINUS} {wrong}",
        "prob": f"probability of {answer}",
        "kl": "KL(clean ‖ run), nats",
    }[request.metric]


def _cells_say(run: PatchRun, found: PatchMap) -> str:
    if found.measure == "count":
        return "facts whose largest effect is there"
    if found.measure == "gain" or (found.measure == "spread" and found.kind == "bucket"):
        return f"{measured(run)} {MINUS} p under noise"
    return measured(run)


def answer_of(run: PatchRun) -> str | None:
    """The token that causal tracing follows: as asked, or the one that the model gave first."""
    asked = getattr(run.request, "answer", None)
    if asked is not None or run.result is None:
        return asked
    told = run.result.strings.get("answer")
    return told if isinstance(told, str) else None


def range_words(found: PatchMap) -> str:
    """`range −0.30 … +1.04`."""
    ends = found.range
    if ends is None:
        return ""
    sign = "+" if found.measure == "effect" else ""
    low, high = (f"{end:{sign}.2f}".replace("-", MINUS) for end in ends)
    return f"range {low} … {high}"


def filled(found: PatchMap) -> str:
    """`14 × 30`, `14 × 30, 71 %`, `14 × 30, 2 × failed`."""
    words = f"{len(found.columns)} × {len(found.rows)}"
    if found.known < found.total:
        words += f", {100 * found.known // max(1, found.total)} % known"
    if found.failed:
        words += f", {found.failed} failed (×)"
    return words


def maps_line(run: PatchRun, name: str, of: Of = "mean") -> Content:
    """The maps there are, the one in front marked; then its range and how much of it is known."""
    names = Content("  ").join(
        Content.styled(f"▸{brief(each)}", "$accent bold")
        if each == name
        else Content(f" {brief(each)}")
        for each in run.names
    )
    found = run.map(name, of)
    if found is None:
        return names
    told = " · ".join(filter(None, [ends_words(run, of), range_words(found), filled(found)]))
    return Content.assemble(names, ("   " + told, "$foreground-muted"))


def brief(name: str) -> str:
    """A map's name where there are many: `hidden` and `hidden peaks` of a set of facts."""
    return name.removesuffix("_effect").replace("_argmax_count", " peaks")


def raw(value: float) -> str:
    """A metric as it is: −5.49, 0.0031."""
    small = 0.0001 <= abs(value) < 0.1
    text = f"{value:.2g}" if small else f"{value:.2f}"
    return text.replace("-", MINUS)


def _manner(run: PatchRun, name: str) -> list[str]:
    """By what method, and its parameters."""
    request = run.request
    if isinstance(request, AttributionPatching):
        steps = f"mean of {request.steps} gradients" if request.steps > 1 else "gradient"
        return [f"estimated, {steps} of the corrupt run"]
    if isinstance(request, PathPatching):
        receivers = ", ".join(request.addresses)
        return [f"paths to {receivers}", f"frozen: {request.freeze.replace('+', ' and ')}",
                request.direction]  # fmt: skip
    if isinstance(request, CausalTracing):
        return _traced(run, request, name)
    return [run.direction]


def _traced(run: PatchRun, request: CausalTracing, name: str) -> list[str]:
    """The noise, and what is given back together."""
    sigma = run.result.arrays.get("sigma") if run.result is not None else None
    size = f" (σ {float(sigma.tolist()):.3g})" if sigma is not None else ""
    noise = "noise of the file" if request.noise_file else f"noise {request.noise:g} σ{size}"
    draws = "" if request.noise_file else f"{request.samples or SAMPLES} draws"
    window = f"windows of {window_size(run)} blocks, rule {request.window_rule}"
    window = "" if name.startswith("hidden") else window
    severed = f"later {request.sever}_out as under noise" if name.startswith(SEVERED) else ""
    return [noise, draws, window, severed]


def window_size(run: PatchRun) -> int:
    """Blocks whose outputs causal tracing gives back together."""
    asked = run.request.window if isinstance(run.request, CausalTracing) else None
    return asked or default_window(run.sizes.layers)


def window_at(run: PatchRun, block: int) -> range:
    """Those around a block."""
    rule = run.request.window_rule if isinstance(run.request, CausalTracing) else "code"
    return window_blocks(block, run.sizes.layers, window_size(run), rule)


COLUMNS = ("map", "block", "site", "column", "label", "value", "raw")


def table(run: PatchRun, name: str, of: Of = "mean", separator: str = "\t") -> str:
    """A line a known cell, the last block first. raw: the metric itself, where it is known."""
    found = run.map(name, of)
    if found is None:
        raise BadInput("there is no map to write yet; run a pair of prompts first")
    lines = [separator.join(COLUMNS)]
    for at, value in sorted(found.cells(), key=lambda cell: (-cell[0].row, cell[0].column)):
        metric = run.raw(value, of) if found.measure == "effect" else None
        lines.append(
            separator.join(
                [
                    name,
                    str(block_of(found, at)),
                    address(run, name, at),
                    str(at.column),
                    _field(found.columns[at.column], separator),
                    f"{value:.6g}",
                    "" if metric is None else f"{metric:.6g}",
                ]
            )
        )
    return "\n".join(lines) + "\n"


def _field(text: str, separator: str) -> str:
    """Escaped, so that a token with a separator or a line break stays in its field."""
    quoted_text = json.dumps(text, ensure_ascii=False)
    if separator == ",":
        return '"' + quoted_text.replace('"', '""') + '"'
    return quoted_text
