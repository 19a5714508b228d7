"""A lens's training in words: how far it is, what it costs, whether it generalises."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from mlxterp_engine.experiments.train_lens import PAPER_STEPS, PAPER_TOKENS_PER_STEP, LensStep
from mlxterp_engine.worker.protocol import JobState
from mlxterp_tui.panes.jobs.text import SIGNS
from mlxterp_tui.panes.training.curves import Curves, layer_name
from mlxterp_tui.widgets.paint import bar
from mlxterp_tui.widgets.progress_line import duration

from textual.content import Content

Pieces = list[tuple[str, str]]

PAPER_TOKENS = PAPER_STEPS * PAPER_TOKENS_PER_STEP  # Belrose et al. 2023: 65.5 million
GAP = " · "
RATIO_BAR = 10
ROOM_FOR_BAR, ROOM_FOR_UNIGRAM = 34 + RATIO_BAR, 44 + RATIO_BAR

KINDS = {"train-tuned-lens": "tuned lens", "train-ridge-lens": "ridge lens"}

Fact = tuple[str, str]
"""A text, and its style in Textual's markup."""


def of_the_paper(tokens: int) -> str:
    """30 720 tokens, 0.047 % of the paper's."""
    share = 100 * tokens / PAPER_TOKENS
    said = f"{share:.0f}" if share >= 10 else f"{share:.2g}"
    return f"{grouped(tokens)} tokens, {said} % of the paper's"


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def facts(
    curves: Curves,
    state: JobState | None,
    reason: str = "",
    kept: str = "",
    going: tuple[str, float] = ("", 0.0),
) -> list[Fact]:
    """What is said above the chart, most important first.

    kept: what the log keeps of it. going: what the job is at, in its own words, and how far, 0..1.
    """
    said = [_state(state, reason)]
    what, share = going
    if state == "running" and what and not what.startswith("step"):
        said.append((f"{what} {bar(share, 8)} {share:.0%}", "bold"))
    if curves.latest is not None:
        said += _of_step(curves.latest, state)
    elif curves.steps and state == "done":
        said.append((f"{grouped(curves.steps)} steps", ""))
    if kept:
        said.append((kept, "$foreground-muted"))
    return said


def _state(state: JobState | None, reason: str) -> Fact:
    if state is None:
        return "no training is shown", "$foreground-muted"
    sign, style = SIGNS[state]
    words = {"queued": "waiting for the engine", "failed": f"failed: {reason}"}.get(state, state)
    return f"{sign} {words}", style


def _of_step(step: LensStep, state: JobState | None) -> list[Fact]:
    running = state == "running" and not math.isnan(step.seconds_left)
    done = step.step / step.steps if step.steps else 0.0
    said = [(f"step {step.step} of {step.steps} {bar(done, 8)} {done:.0%}", "bold")]
    if running:
        said.append((duration(step.seconds_left), ""))
    said.append((of_the_paper(step.tokens), ""))
    if running:
        said.append((f"{step.tokens_per_second:,.0f} tokens/s".replace(",", " "), ""))
    said += [(f"epoch {step.epoch}", ""), checkpoint(step, stopped=state == "cancelled")]
    return [*said, (f"learning rate {step.learning_rate:.3g}", ""), gradient(step)]


def gradient(step: LensStep) -> Fact:
    """Over all translators together, as the paper's recipe clips it."""
    if math.isnan(step.gradient_norm):
        return "", ""
    clipped = "clipped" if step.gradient_norm > step.clip else "not clipped"
    return f"gradient norm {step.gradient_norm:.3g}, {clipped}", ""


def checkpoint(step: LensStep, stopped: bool = False) -> Fact:
    """stopped: one is kept then, of the last step."""
    if stopped:
        return f"checkpoint of step {step.step}", ""
    if not step.checkpoint:
        return "no checkpoint yet", "$foreground-muted"
    when = "" if step.saved is None else f", {datetime.fromtimestamp(step.saved):%H:%M:%S}"
    return f"checkpoint of step {step.checkpoint}{when}", ""


def verdicts(curves: Curves) -> list[Fact]:
    """What held-out text says, in plain words; empty before the first evaluation."""
    said: list[Fact] = []
    if curves.over_fitted:
        where = places(curves, curves.over_fitted)
        words = f"over-fitting at {where}: held-out KL rises while training KL falls"
        said.append((words, "$text-warning bold"))
    if curves.worse:
        where = places(curves, curves.worse)
        said.append((f"held out no better than the logit lens at {where}", "$text-warning"))
    elif curves.evaluated:
        said.append(("held out below the logit lens at every layer", "$text-success"))
    return said


def places(curves: Curves, chosen: Sequence[int]) -> str:
    """`all 31 layers`, or `layers 0–4, 7`."""
    if len(chosen) == len(curves.layers):
        return f"all {len(chosen)} layers"
    runs: list[list[int]] = []
    for at in chosen:
        if runs and at == runs[-1][-1] + 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    names = [
        layer_name(curves.layers[run[0]])
        + (f"–{layer_name(curves.layers[run[-1]])}" if len(run) > 1 else "")
        for run in runs
    ]
    return f"layer{'s' if len(chosen) > 1 else ''} {', '.join(names)}"


def in_lines(said: Iterable[Fact], width: int, lines: int) -> Content:
    """Facts beside one another, as many lines as are given; what does not fit is left out."""
    rows: list[list[Fact]] = [[]]
    used = 0
    for fact in said:
        if not fact[0]:
            continue
        size = len(fact[0]) + (len(GAP) if rows[-1] else 0)
        if rows[-1] and used + size > width:
            if len(rows) == lines:
                break
            rows.append([])
            used, size = 0, len(fact[0])
        rows[-1].append(fact)
        used += size
    return Content("\n").join(_joined(row).truncate(width, ellipsis=True) for row in rows)


def _joined(row: list[Fact]) -> Content:
    return Content(GAP).join(Content.styled(text, style) for text, style in row)


# The table.


def table_heading(width: int) -> str:
    """Above `table_line`, of the same width."""
    unigram = f"{'unigram':>8}" if width >= ROOM_FOR_UNIGRAM else ""
    ratio = "  of logit lens" if width >= ROOM_FOR_BAR else ""
    return f"{'layer':>5} {'logit':>7}{unigram} {'train':>7} {'held out':>8}{ratio}"[:width]


def table_line(curves: Curves, layer: int, width: int) -> Pieces:
    """A layer: KL of the logit lens, the training loss now, held-out KL, and their ratio."""
    ratio = curves.ratio(layer)
    worse = curves.evaluated and ratio >= 1
    pieces = [
        (f"{layer_name(curves.layers[layer]):>5}", "bold"),
        (f" {_nats(curves.logit[layer] if curves.logit else math.nan):>7}", "$foreground-muted"),
    ]
    if width >= ROOM_FOR_UNIGRAM:
        pieces.append((f" {_nats(curves.unigram):>7}", "$foreground-muted"))
    pieces.append((f" {_nats(curves.now(layer)):>7}", ""))
    pieces.append((f" {_nats(curves.held_out_now(layer)):>8}", "$text-warning" if worse else ""))
    if width >= ROOM_FOR_BAR and not math.isnan(ratio):
        style = "$text-warning" if worse else "$text-primary"
        pieces.append((f"  {bar(ratio, RATIO_BAR)}", style))
        pieces.append((f" {ratio:6.1%}", "$foreground-muted"))
    if layer in curves.over_fitted:
        pieces.append((" ↑", "$text-warning bold"))
    return pieces


def table_tsv(curves: Curves) -> str:
    """The whole table, for a copy."""
    rows = ["layer\tkl_logit_lens\tkl_unigram\ttrain_loss\theld_out_kl"]
    rows += [
        "\t".join(
            [
                str(name),
                *(
                    f"{value:.6g}"
                    for value in (
                        curves.logit[layer] if curves.logit else math.nan,
                        curves.unigram,
                        curves.now(layer),
                        curves.held_out_now(layer),
                    )
                ),
            ]
        )
        for layer, name in enumerate(curves.layers)
    ]
    return "\n".join(rows) + "\n"


def _nats(value: float) -> str:
    """Three digits that are meant; a dot where nothing is known."""
    if math.isnan(value):
        return "·"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"
