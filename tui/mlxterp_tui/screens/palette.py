"""The command palette: every command that can be carried out here, found by its words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from mlxterp_tui.keymap import Command, keys_of

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.keys import format_key

if TYPE_CHECKING:
    from mlxterp_tui.screens.main import MainScreen


class TableCommands(Provider):
    """Made from the table of commands; a command with an argument opens the `:` line."""

    @property
    def _main(self) -> MainScreen:
        return cast("MainScreen", self.screen)

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(
                command.title, partial(self._run, command), help=self._described(command)
            )

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(f"{command.title} {command.name}")
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(command.title),
                    partial(self._run, command),
                    help=self._described(command),
                )

    def _commands(self) -> list[Command]:
        from mlxterp_tui.screens.main import MainScreen

        return self._main.reachable_commands() if isinstance(self.screen, MainScreen) else []

    def _described(self, command: Command) -> str:
        names = keys_of(command, self.app.key_overrides)  # type: ignore[attr-defined]
        keys = " ".join(format_key(name) for name in names)
        typed = f":{command.name} {command.argument}".strip()
        return f"{typed}    {keys}".rstrip()

    def _run(self, command: Command) -> None:
        self._main.carry_out(command)
