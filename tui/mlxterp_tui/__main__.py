"""`mlxterp-tui`: without a command the terminal UI opens; a command is one file in commands/."""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mlxterp_engine.experiments.errors import BadInput, EngineError
from mlxterp_engine.experiments.request import BOS_CHOICES, DEVICE_CHOICES, DTYPE_CHOICES
from mlxterp_tui.arguments import COLOUR_CHOICES, AppArguments
from mlxterp_tui.commands.parser import Parser

PROGRAM = "mlxterp-tui"
INTERRUPTED = 130

# Imported when asked for: the app and --help need none of them.
COMMANDS = {
    "run": "one experiment, no screen",
    "reproduce": "a paper's experiments, as a card",
    "models": "the catalogue, fetching, what a model is",
    "runs": "the research log: list, show, replay, compare, export",
    "engine": "the background engine",
    "jobs": "what the engine runs and has run",
    "doctor": "device, BLAS, numeric parity, terminal colours, in one page",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status. Errors are one line on standard error."""
    words = sys.argv[1:] if words is None else list(words)
    try:
        _check_text(words)
        return _run(words)
    except EngineError as error:
        print(f"{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check_text(words: Sequence[str]) -> None:
    """The engine, the log and files hold UTF-8; a shell hands over any bytes."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{word!a} holds an invalid character at {error.start}; give valid UTF-8"
            ) from None


def _run(words: Sequence[str]) -> int:
    if words and words[0] in COMMANDS:
        status = import_module(f"mlxterp_tui.commands.{words[0]}").main(words[1:])
        sys.stdout.flush()
        return status
    return _open_app(_app_arguments(words))


def _open_app(arguments: AppArguments) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput(
            f"the screen needs a terminal; start it in one, or use {PROGRAM} run EXPERIMENT"
        )
    gc.disable()  # the app enables it again once its first frame is there
    from mlxterp_tui.app import main as open_app

    return open_app(arguments)


def _app_arguments(words: Sequence[str]) -> AppArguments:
    given = vars(_parser().parse_args(words))
    command = given.pop("command", None)
    if command is not None:
        raise BadInput(f"{_not_a_command(command)}; there are: {', '.join(COMMANDS)}")
    return AppArguments(**given)


CHOICES = {
    "device": DEVICE_CHOICES,
    "dtype": DTYPE_CHOICES,
    "bos": BOS_CHOICES,
    "color": COLOUR_CHOICES,
}


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Opens up language models in the terminal. Without a command: the screen.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<9} {about}" for name, about in COMMANDS.items())
        + f"\n\n{PROGRAM} COMMAND --help tells more.",
    )
    parser.add_argument("command", nargs="?", help="one of the commands below")
    parser.add_argument("--model", metavar="REF", help="name, folder, .gguf file or hub id")
    for name, choices in CHOICES.items():
        parser.add_choice(f"--{name}", choices)
    parser.add_argument("--theme", metavar="NAME", help="a colour theme, as :theme lists them")
    parser.add_argument("--workspace", metavar="NAME", default="", help="its own prompt, cursor …")
    parser.add_argument("--version", action=_Version, nargs=0, help="print it, and leave")
    return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for: that takes as long as a fifth of a start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        parser.exit()


def _not_a_command(word: str) -> str:
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"there is no command {word!r}" + (f"; closest: {close[0]}" if close else "")


if __name__ == "__main__":
    sys.exit(main())
