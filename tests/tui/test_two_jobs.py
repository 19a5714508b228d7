"""A card is made in the background; what is asked meanwhile is what the screen shows and stops."""

from __future__ import annotations

from mlxterp_engine.experiments import Price, Step
from mlxterp_engine.experiments.card import card_from
from mlxterp_engine.worker.protocol import Finished
from mlxterp_engine.worker.tasks import CardMade, Reproduce

import msgspec
import pytest
from recorded_engine import RECORDINGS, RecordedRun, Recording

CARD = Reproduce(card="logit-lens")


@pytest.fixture(scope="module")
def recording() -> Recording:
    recording = Recording.load("smollm2")
    card = card_from((RECORDINGS / "logit_lens_card.json").read_bytes())
    steps = [Step(part, 4, "the lens of 40 texts") for part in range(4)]
    made = RecordedRun(CARD, Price(500, 120, 10**8), [*steps, Finished(CardMade(card, "there"))])
    return msgspec.structs.replace(recording, runs=[*recording.runs, made])


async def test_the_row_shows_and_x_stops_the_lens_and_then_again_the_card(opened):
    async with opened() as screen:
        screen.engine._free = 2
        await screen.press("escape")
        screen.app.main.action_show_pane("cards")
        await screen.press("r")
        await screen.sees("card logit-lens")
        screen.app.main.action_show_pane("lens")
        await screen.press("r")
        await screen.until(lambda: len(screen.app.runs._going) == 2)
        assert screen.app.runs.current.name == "logit-lens"
        lens, card = screen.engine.asked[-1], CARD
        assert lens != card
        await screen.press("x")
        await screen.until(lambda: len(screen.app.runs._going) == 1)
        assert screen.app.runs.current.name == "card logit-lens"
        await screen.press("x")
        await screen.until(lambda: not screen.app.runs._going)
