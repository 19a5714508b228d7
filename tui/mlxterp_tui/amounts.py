"""Times, sizes and prices with the digits that are meant."""

from __future__ import annotations

from mlxterp_engine.experiments import Price


def price_in_words(price: Price | None) -> str:
    """5 passes · about 0.40 s · 12 MB."""
    if price is None:
        return ""
    count = f"{price.passes:.0f}" if price.passes >= 100 else f"{round(price.passes, 1):g}"
    passes = f"{count} pass" + ("" if price.passes == 1 else "es")
    return f"{passes} · about {seconds(price.seconds)} · {size(price.bytes)}"


def seconds(value: float) -> str:
    """0.21 s, 4.2 s, 3 min 20 s, 2 h 5 min."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
