"""Commands that have commands: `mlxterp-tui jobs list`."""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.commands.parser import Parser


class Subcommand(NamedTuple):
    """about: one line of help. options: adds what it takes. run: does it, for a status."""

    about: str
    options: Callable[[Parser], None]
    run: Callable[[Namespace], int]


def dispatch(prog: str, about: str, table: Mapping[str, Subcommand], words: Sequence[str]) -> int:
    """Run the subcommand that the words begin with."""
    if not words:
        raise BadInput(f"{prog} needs one of: {', '.join(table)}")
    if words[0] in ("-h", "--help"):
        _overview(prog, about, table).parse_args(words)
    if words[0] not in table:
        close = difflib.get_close_matches(words[0], table, n=1)
        closest = f"; closest: {close[0]}" if close else ""
        raise BadInput(
            f"{prog} has no command {words[0]!r}{closest}; there are: {', '.join(table)}"
        )
    chosen = table[words[0]]
    parser = Parser(prog=f"{prog} {words[0]}", description=chosen.about)
    chosen.options(parser)
    return chosen.run(parser.parse_args(words[1:]))


def nothing(parser: Parser) -> None:
    """For subcommands without options."""


def json_option(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", default=False, help="print JSON")


def _overview(prog: str, about: str, table: Mapping[str, Subcommand]) -> Parser:
    width = max(map(len, table))
    lines = [f"  {name:<{width}}  {entry.about}" for name, entry in table.items()]
    epilog = "commands:\n" + "\n".join(lines) + f"\n\n{prog} COMMAND --help tells more."
    return Parser(prog=f"{prog} COMMAND", description=about, epilog=epilog)
