"""The patch pane in the running app, for tests."""

from __future__ import annotations

from typing import Any

from mlxterp_engine.experiments import ActivationPatching, AttributionPatching


def pane_of(screen):
    return screen.app.main.pane


def asked(screen, kind: Any = ActivationPatching) -> list[Any]:
    return [task for task in screen.engine.asked if isinstance(task, kind)]


async def done(screen, many: int) -> None:
    """So many runs were asked, and the last one is on screen, whole."""

    def is_there() -> bool:
        tasks, run = asked(screen, (ActivationPatching, AttributionPatching)), pane_of(screen).run
        return len(tasks) == many and run.request == tasks[-1] and run.state == "done"

    await screen.until(is_there, f"run {many}")


async def with_example(screen) -> None:
    await screen.press("escape", "2", "enter")
    await done(screen, 1)


async def prompts(screen, clean: str, corrupt: str) -> None:
    """What stands at both prompts, and Enter."""
    screen.app.main.prompt.text = clean
    await screen.app.main.prompt.open_second(corrupt)
    screen.app.main.prompt.place_second(corrupt)
    await screen.press("enter", "escape")
