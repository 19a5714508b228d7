"""A card as Markdown that reads over SSH and in `git diff`: fixed digits, a line a fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mlxterp_engine.experiments.card import Card, Claim, Curve, Ours, Paper

BESIDE = 92  # columns of a chart: the layer, and for each curve a value and a bar
LAYER, VALUE = 5, 9
FROM_MEMORY = " (quoted from memory)"
COUNTED = ("facts",)  # units that have no fractions


def card_markdown(card: Card) -> str:
    parts = [
        f"# {card.title}: {card.headline}",
        _facts(card),
        _table(card),
        *(_claim(number, claim) for number, claim in enumerate(card.claims, 1)),
        _charts(card),
        _notes(card),
        f"## Again\n\n    {card.command}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def ours_in_words(ours: Ours) -> str:
    """`0.93 [0.90, 0.97]`."""
    if ours.value is None or ours.interval is None:
        return "could not be computed"
    low, high = ours.interval
    return f"{_digits(ours.value)} [{_digits(low)}, {_digits(high)}]"


def paper_in_words(paper: Paper) -> str:
    return paper.value + (FROM_MEMORY if paper.provenance == "memory" else "")


def figure(value: float | str | None) -> str:
    """Three significant digits; words as they are."""
    if value is None:
        return "not known"
    return value if isinstance(value, str) else f"{value:.3g}"


def _digits(value: float) -> str:
    """Always three: `1.00`, so that it reads as measured."""
    return f"{value:#.3g}".rstrip(".")


def charts(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves of a chart together, in the order of their charts."""
    alone = ((curve.chart or f"{place}", curve) for place, curve in enumerate(curves))
    found: dict[str, list[Curve]] = {}
    for chart, curve in alone:
        found.setdefault(chart, []).append(curve)
    return list(found.values())


def chart_title(together: Sequence[Curve]) -> str:
    first = together[0]
    return f"{first.chart or first.title}, {first.unit}"


def bar_chart(together: Sequence[Curve], width: int = BESIDE) -> list[str]:
    """A line a layer: its name, and for each curve its value and a bar from 0, on one scale; a
    bar that is longer than there is room for ends in `▸`.

    Above them, where there are several, what each is. width: of it all.
    """
    most = full_bar([abs(v) for curve in together for v in curve.values if v is not None])
    bar = max(3, (width - LAYER) // len(together) - VALUE - 2)
    digits = 0 if together[0].unit in COUNTED else 3
    heads = [" " * LAYER + "".join(f"  {_head(c.title, VALUE + bar)}" for c in together)]
    rows = zip(*(curve.values for curve in together), strict=True)
    lines = [
        f"{'embed' if layer == -1 else layer:>{LAYER}}"
        + "".join(f"  {_value(v, digits)} {_bar(v, most, bar - 1):<{bar - 1}}" for v in values)
        for layer, values in zip(together[0].layers, rows, strict=True)
    ]
    return [line.rstrip() for line in (heads if len(together) > 1 else []) + lines]


def _head(title: str, width: int) -> str:
    return f"{title[:width]:<{width}}"


def full_bar(values: Sequence[float]) -> float:
    """What fills a bar: the greatest value, or the one that 95 % are below, where the rest are
    more than twice that. (The embeddings' KL is often ten times every block's.)"""
    ordered = sorted(values)
    if not ordered or not ordered[-1]:
        return 1.0
    usual = ordered[int(0.95 * (len(ordered) - 1))]
    return ordered[-1] if ordered[-1] <= 2 * usual else usual or ordered[-1]


def _bar(value: float | None, most: float, width: int) -> str:
    if value is None:
        return ""
    length = round(abs(value) / most * width)
    return "█" * length if length <= width else "█" * (width - 1) + "▸"


def _value(value: float | None, digits: int) -> str:
    return f"{'not known' if value is None else f'{value:.{digits}f}':>{VALUE}}"


def _facts(card: Card) -> str:
    made = datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    size = "fast" if card.fast else "full"
    facts = [
        ("made", f"{made}, {size}, seed {card.seed}"),
        ("model", f"{card.model} ({card.architecture}), weights sha256 {card.sha256[:16]}"),
        ("computed on", f"{card.device}, {card.dtype}"),
        ("data", f"{card.data}; {card.tokens} tokens counted"),
        ("runs", _runs(card)),
        ("contracts", _contracts(card)),
    ]
    return "\n".join(f"- **{name}:** {said}" for name, said in facts)


def _runs(card: Card) -> str:
    if card.run is None:
        return f"not in the research log: {card.trouble or 'none was kept'}"
    incomplete = f"; {card.trouble}" if card.trouble else ""
    return f"{len(card.runs)} under run {card.run} of the research log{incomplete}"


def _contracts(card: Card) -> str:
    failed = [name for name, held in card.contracts.items() if not held.ok]
    if failed:
        return f"FAILED: {', '.join(failed)}"
    return f"all held in all runs ({', '.join(sorted(card.contracts))})"


def _table(card: Card) -> str:
    rows = ["| claim | paper | ours | verdict |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(claim.claim)} | {_cell(claim.paper.model)}: "
        f"{_cell(paper_in_words(claim.paper))} | {ours_in_words(claim.ours)} "
        f"{_cell(claim.ours.unit)} | **{claim.verdict}** |"
        for claim in card.claims
    ]
    return "\n".join(rows)


def _claim(number: int, claim: Claim) -> str:
    ours = claim.ours
    drawn = f"n = {ours.n} texts, {ours.draws} draws, seed {ours.seed}"
    lines = [
        f"## {number}. {claim.claim}",
        "",
        f"- **paper:** {claim.paper.source}; {claim.paper.model}; {paper_in_words(claim.paper)}",
        f"- **ours:** {ours.model}; {ours_in_words(ours)} {ours.unit}; {drawn}",
        f"- **measure:** {claim.measure}",
        f"- **rule:** {claim.rule}",
        f"- **verdict:** **{claim.verdict}**: {claim.reason}",
        "- **controls:**",
        *(f"  - {name}: {figure(value)}" for name, value in claim.controls.items()),
    ]
    return "\n".join(lines)


def _charts(card: Card) -> str:
    if not card.curves:
        return ""
    drawn = [
        "\n".join([chart_title(together), *bar_chart(together)]) for together in charts(card.curves)
    ]
    return "## By layer\n\n" + "\n\n".join(f"```text\n{chart}\n```" for chart in drawn)


def _notes(card: Card) -> str:
    return "## Notes\n\n" + "\n".join(f"- {note}" for note in card.notes) if card.notes else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
