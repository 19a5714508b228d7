"""The patch pane on the tiny model, which computes what it is asked."""

from __future__ import annotations

from mlxterp_engine.experiments import ActivationPatching
from mlxterp_tui.panes.patch.words import CAT

CLEAN = "The cat sat on the"
CORRUPT = "The dog sat on the"


async def in_patching(screen, clean: str = CLEAN, corrupt: str = CORRUPT) -> None:
    """Both prompts typed, the run done."""
    await screen.press("escape", "2")
    await screen.command(f"ask {clean}")
    await screen.press("o")
    await screen.until(lambda: screen.app.main.prompt.second is not None, "the second line")
    await screen.press("ctrl+u")
    screen.app.main.prompt.place_second(corrupt)
    await screen.press("enter", "escape")


def pane_of(screen):
    return screen.app.main.pane


def asked(screen) -> list[ActivationPatching]:
    return [task for task in screen.engine.asked if isinstance(task, ActivationPatching)]


class TestFirstSight:
    async def test_the_empty_pane_says_what_it_will_show_and_begins_nothing(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "2")
            await screen.sees("which places of the model carry what makes the answer?")
            await screen.sees("There is no corrupt prompt yet")
            assert not asked(screen)

    async def test_enter_in_the_empty_pane_runs_the_example(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "2", "enter")
            await screen.until(lambda: pane_of(screen).run.state == "done", "the example's map")
            (request,) = asked(screen)
            assert (request.clean, request.corrupt) == (CAT.clean, CAT.corrupt)
            assert (request.answer, request.wrong) == (CAT.answer, CAT.wrong)
            assert screen.app.main.prompt.second == CAT.corrupt
