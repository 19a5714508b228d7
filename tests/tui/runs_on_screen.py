"""The list of runs in the running app, for tests."""

from __future__ import annotations


async def to_runs(screen) -> None:
    await screen.press("escape", "4")
    await screen.until(lambda: screen.app.main.pane_name == "runs")
    await screen.until(lambda: screen.app.main.run_in_front is not None, "a list")


def listed(screen) -> list[int]:
    return [entry.line.id for entry in screen.app.main.pane._listing.entries]
