"""A letter takes you to any pane."""

from __future__ import annotations

from typing import ClassVar

from mlxterp_tui.widgets.jump_overlay import JumpOverlay, letters_for, push_jump_overlay

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Button, Input, Label


class Panes(App[None]):
    """Two that take the focus, one that takes it out of sight, one that does not."""

    CSS = "#below { offset: 0 40; } Button { height: 3; }"
    BINDINGS: ClassVar = [("ctrl+o", "jump", "Jump")]

    def compose(self) -> ComposeResult:
        yield Input(id="prompt")
        yield Label("words")
        yield Button("lens", id="lens")
        yield Button("below", id="below")

    def action_jump(self) -> None:
        push_jump_overlay(self.screen)


def focused(app: App) -> str | None:
    return app.focused.id if app.focused else None


async def test_typing_a_letter_moves_the_focus_there():
    app = Panes()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("ctrl+o")
        letters = {str(label.render()) for label in app.screen.query(".jump-letter")}
        assert letters == {"a", "s"}
        await pilot.press("s")
        await pilot.pause()
        assert focused(app) == "lens"


@pytest.mark.parametrize("key", ["escape", "ctrl+o", "apostrophe"])
async def test_leaving_keeps_the_focus(key):
    app = Panes()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("ctrl+o", key)
        await pilot.pause()
        assert not isinstance(app.screen, JumpOverlay)
        assert focused(app) == "prompt"


async def test_a_letter_without_a_target_does_nothing():
    app = Panes()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("ctrl+o", "m")
        assert isinstance(app.screen, JumpOverlay)


async def test_letters_stand_where_their_widgets_are():
    app = Panes()
    async with app.run_test(size=(60, 20)) as pilot:
        lens = app.query_one("#lens").region
        await pilot.press("ctrl+o")
        await pilot.pause()
        _, label = app.screen.query(".jump-letter")
        assert label.region.offset == lens.offset


def test_a_widget_may_ask_for_its_own_letter():
    first, second, third = Button("a"), Button("b"), Button("c")
    second.jump_letter = "a"
    third.jump_letter = "a"
    assert letters_for([first, second, third]) == {"a": second, "s": first, "d": third}
