"""A widget that was mounted is told so, also when somebody asks where things are before that."""

from __future__ import annotations

from mlxterp_tui.screens.noticing_compositor import NoticingCompositor

import pytest
from textual import events
from textual._compositor import Compositor
from textual.app import App
from textual.screen import Screen
from textual.widgets import Static


class Newcomer(Static):
    def __init__(self) -> None:
        super().__init__("new")
        self.told: list[str] = []

    def on_show(self, event: events.Show) -> None:
        self.told.append("show")

    def on_resize(self, event: events.Resize) -> None:
        self.told.append("resize")


class Room(Screen[None]):
    def __init__(self, compositor: Compositor) -> None:
        super().__init__()
        self._compositor = compositor


async def told_to_a_newcomer(compositor: Compositor) -> list[str]:
    app: App[None] = App()
    async with app.run_test() as pilot:
        await app.push_screen(Room(compositor))
        await pilot.pause()
        newcomer = Newcomer()
        mounting = app.screen.mount(newcomer)
        compositor._full_map_invalidated = True  # as scrolling and repainting leave it
        await newcomer._mounted_event.wait()
        assert newcomer in compositor.full_map  # somebody asks where something is
        await mounting
        await pilot.pause(0.05)
        return newcomer.told


async def test_it_is_shown_and_has_its_size():
    assert await told_to_a_newcomer(NoticingCompositor()) == ["resize", "show"]


@pytest.mark.xfail(
    reason="textual issue 5024; once this passes, NoticingCompositor can go", strict=True
)
async def test_textual_tells_it_by_itself():
    assert await told_to_a_newcomer(Compositor()) == ["resize", "show"]
