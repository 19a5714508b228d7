"""The `:` line, without the screen: what was meant, and how it could go on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.keymap import Command

Choices = Callable[[str], Sequence[str]]


class Parsed(NamedTuple):
    """A command, and its argument where it takes one."""

    command: Command
    argument: str = ""

    @property
    def action(self) -> str:
        """As Textual runs it."""
        if not self.command.argument:
            return self.command.action
        return f"{self.command.action}({self.argument!r})"


def parse(line: str, commands: Sequence[Command], choices: Choices) -> Parsed:
    """The command that a line means. BadInput names the closest one, or what is missing."""
    word, _, rest = line.strip().partition(" ")
    command = _command(word, commands)
    argument = unquoted(rest.strip())
    if not command.argument:
        if argument:
            raise BadInput(f":{word} takes nothing after it; {rest.strip()!r} was given")
        return Parsed(command)
    if not argument:
        raise BadInput(f":{word} needs {command.argument}")
    if command.choices and command.choices not in OPEN_ENDED:
        _check_choice(word, argument, choices(command.choices))
    return Parsed(command, argument)


# Lists that only suggest: a model may also be a folder, a file any path.
OPEN_ENDED = ("lenses", "ablations", "models", "exports", "tags", "workspaces", "trainings")


def unquoted(text: str) -> str:
    """Without the quotes around it: they are how a leading space is written."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]:
        return text[1:-1]
    return text


def whole_number(name: str, words: str, least: int, most: int) -> int:
    """An argument that counts. BadInput names the range."""
    if not words.isdecimal() or not least <= int(words) <= most:
        raise BadInput(f"{name} is {words!r}; give a whole number from {least} to {most}")
    return int(words)


def completions(line: str, commands: Sequence[Command], choices: Choices) -> list[str]:
    """Whole lines that begin as this one does, best first."""
    word, space, rest = line.lstrip().partition(" ")
    if not space:
        return [command.name for command in commands if command.name.startswith(word)]
    command = next((command for command in commands if command.name == word), None)
    if command is None or not command.choices:
        return []
    return [f"{word} {choice}" for choice in choices(command.choices) if choice.startswith(rest)]


def _command(word: str, commands: Sequence[Command]) -> Command:
    if not word:
        raise BadInput("no command was typed; Tab shows them all")
    exact = next((command for command in commands if command.name == word), None)
    if exact is not None:
        return exact
    starting = [command for command in commands if command.name.startswith(word)]
    if len(starting) == 1:
        return starting[0]
    raise BadInput(f"there is no command :{word}{_closest(word, [c.name for c in commands])}")


def _check_choice(word: str, argument: str, allowed: Sequence[str]) -> None:
    if argument not in allowed:
        raise BadInput(
            f":{word} {argument} is not known{_closest(argument, allowed)}; "
            f"there are: {', '.join(allowed) or 'none'}"
        )


def _closest(given: str, names: Sequence[str]) -> str:
    found = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    return f"; closest: {found[0]}" if found else ""
