"""The top line: everything that changes what a number means, and the engine's state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mlxterp_engine.experiments import ModelCard
from mlxterp_engine.worker.protocol import ENDED, JobInfo
from mlxterp_tui.panes.registry import TRAININGS
from mlxterp_tui.session import State
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.paint import bar

from textual.content import Content

SHORT_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
ENGINE_WORDS: dict[State, tuple[str, str]] = {
    "starting": ("engine starting", "$text-warning"),
    "ready": ("engine ready", "$text-success"),
    "lost": ("engine lost · R restarts", "$text-error bold"),
    "stopped": ("engine stopped · R starts", "$text-warning"),
}
GAP = " · "
LONGEST_HYPOTHESIS = 24


class Fact(NamedTuple):
    """A piece of the line, in Textual markup style."""

    text: str
    style: str = ""


def facts(
    setting: Setting,
    card: ModelCard | None,
    workspace: str = "",
    hypothesis: str = "",
    alert: str = "",
) -> list[Fact]:
    """From the one that may go last to the one that goes first when room is short.

    alert: why the model on screen is not the plain one.
    """
    name = f"mlxterp {workspace}".rstrip()
    model = f"{setting.model} · {alert}" if alert else setting.model
    style = "bold $text-warning" if alert else "bold"
    known = [Fact(name, "$text-primary bold"), Fact(model, style)]
    if hypothesis:
        known.append(Fact(f"next run expects: {_begun(hypothesis)}", "$text-accent bold"))
    if card is not None:
        known.append(Fact(weights(card)))
        known.append(Fact(card.device.partition(" ")[0]))
    else:
        known.append(Fact("not open yet", "$foreground-muted"))
    known.append(Fact(f"BOS {setting.bos_in_words(card)}"))
    known.append(Fact(f"chat {'on' if setting.chat else 'off'}", "bold" if setting.chat else ""))
    if card is not None:
        known.append(Fact(card.provenance, "$foreground-muted"))
        known.append(Fact(card.device, "$foreground-muted"))
        known.append(Fact(f"{card.layers} blocks, d_model {card.d_model}", "$foreground-muted"))
    return known


def weights(card: ModelCard) -> str:
    """Q4_1→f32: how the weights lie in the file, and what is computed with."""
    dtype = SHORT_DTYPES.get(card.dtype, card.dtype)
    if card.quantisation.lower() in ("", "none", card.dtype):
        return dtype
    return f"{card.quantisation}→{dtype}"


def fitted(pieces: list[Fact], room: int) -> list[Fact]:
    """As many as fit, from the left; the first two always stay."""
    kept: list[Fact] = []
    used = 0
    for piece in pieces:
        used += len(piece.text) + (len(GAP) if kept else 0)
        if used > room and len(kept) >= 2:
            break
        kept.append(piece)
    return kept


def _begun(words: str) -> str:
    return words if len(words) <= LONGEST_HYPOTHESIS else f"{words[: LONGEST_HYPOTHESIS - 1]}…"


def status_text(
    setting: Setting,
    card: ModelCard | None,
    engine: State,
    width: int,
    workspace: str = "",
    hypothesis: str = "",
    training: str = "",
    alert: str = "",
) -> Content:
    """The whole line: facts on the left; on the right what is trained, and the engine."""
    word, style = ENGINE_WORDS[engine]
    trained = f"{training}  " if training else ""
    right = f"{trained}● {word}"
    room = max(0, width - len(right) - 4)
    shown = facts(setting, card, workspace, hypothesis, alert)
    left = Content(GAP).join(Content.styled(fact.text, fact.style) for fact in fitted(shown, room))
    left = left.truncate(room, ellipsis=True)
    gap = " " * max(2, width - 2 - left.cell_length - len(right))
    return Content.assemble(
        " ", left, gap, (trained, "$text-accent"), (right[len(trained) :], style), " "
    )


def training_in_words(jobs: Iterable[JobInfo]) -> str:
    """`ridge lens ███▌   59%`: a training goes on whatever pane is in front; "" for none."""
    going = [info for info in jobs if info.experiment in TRAININGS and info.state not in ENDED]
    if not going:
        return ""
    first = min(going, key=lambda info: (info.state != "running", info.submitted))
    kind = first.experiment.removeprefix("train-").replace("-", " ")
    more = f" +{len(going) - 1}" if len(going) > 1 else ""
    return f"{kind} {bar(first.progress, 6)} {first.progress:>4.0%}{more}"
