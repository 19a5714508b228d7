"""`mlxterp-tui reproduce NAME`: a paper's experiments, and a card that sets ours beside theirs."""

from __future__ import annotations

import sys
import textwrap
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.card import Card, Claim, card_json
from mlxterp_engine.experiments.reproductions import REPRODUCTIONS, Entry
from mlxterp_engine.experiments.request import DEVICE_CHOICES, DTYPE_CHOICES
from mlxterp_engine.reproductions import shelf
from mlxterp_engine.reproductions.card_markdown import ours_in_words, paper_in_words
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.tasks import CardMade, OpenModel, Reproduce
from mlxterp_tui.amounts import price_in_words, seconds
from mlxterp_tui.commands.following import failures_name_the_log
from mlxterp_tui.commands.output import as_json, table
from mlxterp_tui.commands.parser import Parser, one_of, whole
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.run import absolute

PROGRAM = "mlxterp-tui reproduce"
WIDTH = 88


def main(words: Sequence[str]) -> int:
    given = _parser().parse_args(words)
    if given.name == "list":
        return _list(given)
    made = _make(_task(given))
    print(card_json(made.card).decode().rstrip() if given.json else card_page(made.card))
    print(f"written to {made.folder}", file=sys.stderr)
    return 0


def _task(given: Namespace) -> Reproduce:
    """Options that were not given keep the task's defaults."""
    wanted: dict[str, Any] = {k: v for k, v in vars(given).items() if k not in ("name", "json")}
    wanted["out"] = absolute(wanted.get("out"))
    return Reproduce(card=given.name, **wanted)


def _make(task: Reproduce) -> CardMade:
    """The price is told before anything is computed; the model has to be open for it."""
    opening = OpenModel(model=task.model, device=task.device, dtype=task.dtype)
    with BlockingEngine.private() as engine, failures_name_the_log(engine):
        with Progress(sys.stderr) as progress:
            engine.run(opening, progress)
        print(f"{task.card}: {price_in_words(engine.estimate(task))}", file=sys.stderr)
        with Progress(sys.stderr) as progress:
            return cast(CardMade, engine.run(task, progress))


def _list(given: Namespace) -> int:
    surplus = set(vars(given)) - {"name", "json"}
    if surplus:
        raise BadInput(f"{PROGRAM} list takes only --json; leave --{min(surplus)} out")
    shelved = {name: shelf.latest(name) for name in REPRODUCTIONS}
    if given.json:
        print(as_json([_entry_json(name, REPRODUCTIONS[name], shelved[name]) for name in shelved]))
        return 0
    lines = [["name", "paper", "about", "last card"]]
    for name, entry in REPRODUCTIONS.items():
        lines.append([name, entry.paper, entry.about, _last_card(shelved[name])])
    print(table(lines))
    return 0


def _entry_json(name: str, entry: Entry, shelved: shelf.Shelved | None) -> dict[str, object]:
    last = None
    if shelved is not None:
        card = shelved.card
        last = {"created": card.created, "verdicts": card.headline, "folder": str(shelved.folder)}
    return {
        "name": name,
        "title": entry.title,
        "paper": entry.paper,
        "about": entry.about,
        "last": last,
    }


def _last_card(shelved: shelf.Shelved | None) -> str:
    if shelved is None:
        return "none yet"
    card = shelved.card
    made = datetime.fromtimestamp(card.created).isoformat(" ", "minutes")
    return f"{made}, {card.model}: {card.headline}"


def card_page(card: Card) -> str:
    """The claims, one after the other; controls and charts are in card.md."""
    run = f" · run {card.run}" if card.run is not None else ""
    heading = (
        f"{card.title} · {card.model} · {card.texts} texts, {card.tokens} tokens · "
        f"{seconds(card.elapsed_s)}{run}"
    )
    parts = [heading, *(_claim(number, claim) for number, claim in enumerate(card.claims, 1))]
    trouble = [f"the research log: {card.trouble}"] if card.trouble else []
    return "\n\n".join([*parts, *trouble])


def _claim(number: int, claim: Claim) -> str:
    lines = [
        ("paper", f"{claim.paper.model}: {paper_in_words(claim.paper)} [{claim.paper.source}]"),
        ("ours", f"{ours_in_words(claim.ours)} {claim.ours.unit}, n = {claim.ours.n}"),
        ("verdict", f"{claim.verdict.upper()}: {claim.reason}"),
    ]
    body = [_wrapped(f"   {name:<9}", said) for name, said in lines]
    return "\n".join([_wrapped(f"{number}. ", claim.claim), *body])


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _parser() -> Parser:
    names = [*REPRODUCTIONS, "list"]
    wide = max(map(len, names))
    about = "\n".join(f"  {name:<{wide}} {entry.about}" for name, entry in REPRODUCTIONS.items())
    parser = Parser(
        prog=PROGRAM,
        description="A paper's experiments, and a card that sets our figures beside the paper's.",
        epilog=f"reproductions:\n{about}\n  {'list':<{wide}} all of them, with their last cards",
    )
    parser.add_argument("name", metavar="NAME", type=one_of(*names), help="see below; or: list")
    parser.add_argument("--fast", action="store_true", help="fewer and shorter texts")
    parser.add_argument("--model", metavar="REF", help="name, folder, .gguf file or hub id")
    parser.add_argument("--seed", type=whole, metavar="N", help="of texts and bootstrap")
    parser.add_choice("--device", DEVICE_CHOICES)
    parser.add_choice("--dtype", DTYPE_CHOICES)
    parser.add_argument("--out", metavar="FOLDER", help="for card.md, card.json, figures.npz")
    parser.add_argument("--json", action="store_true", default=False, help="print card.json")
    return parser
