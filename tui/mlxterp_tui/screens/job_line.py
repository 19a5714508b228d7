"""What the engine is doing, and what the run on screen cost."""

from __future__ import annotations

from textual.content import Content

from mlxterp_engine.experiments import Price, Step

BAR_CELLS = 12


def bar(share: float, cells: int = BAR_CELLS) -> str:
    full = round(min(1.0, max(0.0, share)) * cells)
    return "━" * full + "╌" * (cells - full)


def job_text(name: str, step: Step | None, price: Price | None) -> Content:
    """A running job: its bar, where it is, and its price."""
    if step is None or step.total <= 0:
        return Content.assemble((name, "bold"), "  ", ("waiting for the engine", "$text-muted"))
    share = step.done / step.total
    parts = [
        (name, "bold"),
        "  ",
        (bar(share), "$text-accent"),
        f" {share:4.0%}  {step.what}",
        (f"  {price_in_words(price)}", "$text-muted"),
    ]
    return Content.assemble(*parts)


def price_in_words(price: Price | None) -> str:
    """5 passes, about 0.4 s, 12 MB."""
    if price is None:
        return ""
    passes = f"{price.passes:g} pass" + ("" if price.passes == 1 else "es")
    return f"{passes}, about {seconds(price.seconds)}, {size(price.bytes)}"


def seconds(value: float) -> str:
    """Two digits that mean something: 0.21 s, 4.2 s, 3 min 20 s."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
