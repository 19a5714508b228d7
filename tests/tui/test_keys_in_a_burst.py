"""Keys that come bundled over a slow line go where they would have gone one by one."""

from __future__ import annotations

from mlxterp_tui.panes.registry import TABS
from mlxterp_tui.screens.reader import Reader

import pytest
from textual import events

NUMBERS = {entry.name: str(number) for number, entry in enumerate(TABS, 1)}


async def burst(screen, *keys: str) -> None:
    """All there before the first is looked at."""
    for key in keys:
        screen.app.post_message(events.Key(key, key if len(key) == 1 else None))
    await screen.pilot.pause()
    await screen.pilot.pause()


@pytest.mark.parametrize("name", ["jobs", "runs", "cards"])
async def test_what_follows_a_pane_s_number_goes_to_that_pane(opened, name):
    async with opened() as screen:
        await screen.press("escape")
        cursor = screen.app.main.pane.view.cursor
        await burst(screen, NUMBERS[name], "j", "enter")
        assert screen.app.main.pane_named("lens").view.cursor == cursor
        await screen.until(lambda: screen.app.main.pane_named(name).has_focus_within)


async def test_enter_behind_a_number_opens_what_is_there(opened):
    async with opened() as screen:
        await screen.press("escape", NUMBERS["jobs"])
        await screen.sees("2 jobs")
        await screen.press(NUMBERS["lens"])
        await burst(screen, NUMBERS["jobs"], "1", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, Reader), "the lens's cell in full")


async def test_a_number_in_the_prompt_is_text(opened):
    async with opened() as screen:
        await burst(screen, "2", "3")
        assert screen.app.main.prompt.text.endswith("23")
        assert screen.app.main.pane_name == "lens"
