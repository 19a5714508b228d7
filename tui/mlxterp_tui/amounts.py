"""Times, sizes and prices with the digits that are meant."""

from __future__ import annotations

from mlxterp_engine.experiments import Price


def price_in_words(price: Price | None) -> str:
    """5 passes · about 0.40 s · 12 MB."""
    if price is None:
        return ""
    passes = f"{round(price.passes, 1):g} pass" + ("" if price.passes == 1 else "es")
    return f"{passes} · about {seconds(price.seconds)} · {size(price.bytes)}"


def seconds(value: float) -> str:
    """0.21 s, 4.2 s, 3 min 20 s."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
