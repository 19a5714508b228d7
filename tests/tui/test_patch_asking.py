"""What is asked of the model before a patching run."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from mlxterp_tui.panes.patch.asking import likeliest
from mlxterp_tui.setting import Setting

import pytest


class Slow:
    """A session whose answers never come; it knows what was stopped."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    async def glance(self, request: object) -> SimpleNamespace:
        return SimpleNamespace(id="job")

    async def follow(self, job: object, show: object) -> None:
        await asyncio.Event().wait()

    async def cancel(self, job_id: str) -> None:
        self.stopped.append(job_id)


async def test_an_answer_that_is_not_waited_for_any_more_is_not_computed():
    session = Slow()
    asking = asyncio.create_task(likeliest(session, "a long prompt", Setting()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert session.stopped == ["job"]
