"""Cards as text: a line of the list, the claims at a glance, and everything there is."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from mlxterp_engine.experiments.card import VERDICTS, Card, Claim, Curve, Verdict
from mlxterp_engine.experiments.reproductions import Entry
from mlxterp_engine.reproductions.card_markdown import (
    bar_chart,
    chart_title,
    charts,
    figure,
    ours_in_words,
    paper_in_words,
)
from mlxterp_tui.amounts import seconds

from textual.content import Content

SIGNS: dict[Verdict, tuple[str, str]] = {
    "same shape": ("✓", "$text-success"),
    "same direction": ("≈", "$text-accent"),
    "not reproduced": ("✗", "$text-error"),
    "not comparable": ("–", "$text-warning"),
}
NAME, WHEN = 14, 18
VERDICT = max(map(len, VERDICTS)) + 4
ROOM_FOR_WORDS = 100
HEADING = f" {'reproduction':<{NAME}} {'last card':<{WHEN}} claims"
MOST_CHART = 92  # columns

NONE_YET = """\
No card of {title} yet. A card sets a paper's figures beside
this model's, with controls, and a verdict that follows from a written
rule. "Not reproduced" is one of the verdicts.

    {paper}
    {about}

    r makes the card in full (minutes on a CPU), f a fast one on fewer
    texts; x stops either.
    Without a screen: mlxterp-tui reproduce {name}"""


def card_line(name: str, card: Card | None, width: int) -> list[tuple[str, str]]:
    """One reproduction, in styled pieces: when its last card was made, how its claims fared."""
    if card is None:
        return [(f" {name:<{NAME}} ", ""), ("none yet: r or f makes one", "$foreground-muted")]
    when = datetime.fromtimestamp(card.created).strftime("%Y-%m-%d %H:%M")
    return [
        (f" {name:<{NAME}} {when:<{WHEN}} ", ""),
        *_counts(card.claims, in_words=width >= ROOM_FOR_WORDS),
        (f"{card.model}{', fast' if card.fast else ''}", "$foreground-muted"),
    ]


def no_card(name: str, entry: Entry) -> Content:
    words = NONE_YET.format(name=name, title=entry.title, paper=entry.paper, about=entry.about)
    return Content.styled(words, "$foreground-muted")


def at_a_glance(card: Card, width: int, height: int = 0) -> Content:
    """The claims as rows: verdict and claim, theirs, ours; apart where there is room for it."""
    parts = [_origin(card, width), *(_row(c, width) for c in card.claims)]
    lines = sum(len(part.plain.splitlines()) for part in parts)
    return Content("\n\n" if lines + len(parts) - 1 <= height else "\n").join(parts)


def in_full(card: Card, width: int) -> Content:
    """The card with measures, rules, controls and charts: what card.md says."""
    claims = [_row(claim, width) + "\n" + _grounds(claim, width) for claim in card.claims]
    drawn = [_chart(together, width) for together in charts(card.curves)]
    notes = [_filled("· ", note, width) for note in card.notes]
    parts = [_origin(card, width), *claims, *drawn, *notes, Content(card.command)]
    return Content("\n\n").join(parts)


def _counts(claims: Iterable[Claim], in_words: bool) -> Iterator[tuple[str, str]]:
    counts = Counter(claim.verdict for claim in claims)
    for verdict, (sign, style) in SIGNS.items():
        if counts[verdict]:
            yield f"{sign} {counts[verdict]}{f' {verdict}' if in_words else ''}  ", style


def _origin(card: Card, width: int) -> Content:
    run = f" · run {card.run}" if card.run is not None else ""
    size = "fast" if card.fast else "full"
    said = (
        f"{card.title} · {card.model} · {size}, {card.texts} texts, {card.tokens} tokens, seed "
        f"{card.seed} · {seconds(card.elapsed_s)}{run}"
    )
    trouble = f"\nthe research log: {card.trouble}" if card.trouble else ""
    return Content.styled("\n".join(textwrap.wrap(said, width)) + trouble, "$foreground-muted")


def _row(claim: Claim, width: int) -> Content:
    sign, style = SIGNS[claim.verdict]
    head, *rest = textwrap.wrap(claim.claim, max(20, width - VERDICT))
    indent = " " * VERDICT
    provenance = paper_in_words(claim.paper)
    ours = claim.ours
    return Content("\n").join(
        [
            Content.assemble((f"{sign} {claim.verdict:<{VERDICT - 2}}", f"{style} bold"),
                             (head, "bold")),
            *(Content.styled(indent + line, "bold") for line in rest),
            _filled("theirs  ", f"{claim.paper.model}: {provenance}", width, "", 2),
            _filled("ours    ", f"{ours_in_words(ours)} {ours.unit}, n = {ours.n}", width, "", 2),
        ]
    )  # fmt: skip


def _grounds(claim: Claim, width: int) -> Content:
    ours, paper = claim.ours, claim.paper
    facts = [
        ("why     ", claim.reason),
        ("rule    ", claim.rule),
        ("measure ", claim.measure),
        ("source  ", f"{paper.source}; ours: {ours.draws} draws, seed {ours.seed}"),
        *(("control ", f"{name}: {figure(value)}") for name, value in claim.controls.items()),
    ]
    return Content("\n").join(
        _filled(head, said, width, "" if head.strip() == "why" else "$foreground-muted", 2)
        for head, said in facts
    )


def _chart(together: Sequence[Curve], width: int) -> Content:
    bars = bar_chart(together, min(MOST_CHART, width))
    return Content.assemble(
        (chart_title(together), "bold"), "\n", ("\n".join(bars), "$text-primary")
    )


def _filled(head: str, text: str, width: int, style: str = "", indent: int = 0) -> Content:
    """A paragraph hung on its first word."""
    first = " " * indent + head
    lines = textwrap.fill(
        text, max(20, width), initial_indent=first, subsequent_indent=" " * len(first)
    )
    return Content.styled(lines, style) if style else Content(lines)
