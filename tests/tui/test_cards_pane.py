"""The cards pane: a true card read from the shelf, and cards made by a recorded engine."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine.experiments import BadInput, Price, Step
from mlxterp_engine.experiments.card import VERDICTS, Card, card_from, card_json
from mlxterp_engine.experiments.reproductions import REPRODUCTIONS
from mlxterp_engine.reproductions import shelf
from mlxterp_engine.reproductions.card_markdown import card_markdown, ours_in_words
from mlxterp_engine.worker.protocol import Finished
from mlxterp_engine.worker.tasks import CardMade, Reproduce
from mlxterp_tui.folders import state_file
from mlxterp_tui.panes.cards import text as cards_text
from mlxterp_tui.screens.reader import Reader

import msgspec
import pytest
from recorded_engine import RECORDINGS, RecordedRun, Recording
from rich.cells import cell_len

FULL = Reproduce(card="logit-lens")
FAST = Reproduce(card="logit-lens", fast=True)


@pytest.fixture(scope="module")
def card() -> Card:
    """The logit lens's card of the default model, as the engine made it."""
    return card_from((RECORDINGS / "logit_lens_card.json").read_bytes())


@pytest.fixture(scope="module")
def recording(card) -> Recording:
    """The engine's recording, and in it two cards being made."""
    recording = Recording.load("smollm2")
    steps = [Step(part, 4, "the lens of 40 texts") for part in range(4)]
    end = Finished(CardMade(card, "somewhere"))
    made = [RecordedRun(task, Price(500, 120, 10**8), [*steps, end]) for task in (FULL, FAST)]
    return msgspec.structs.replace(recording, runs=[*recording.runs, *made])


@pytest.fixture
def on_the_shelf(home, card) -> Path:
    """The card lies where cards are kept."""
    folder = shelf.new_folder(card.name, card.created)
    folder.mkdir(parents=True)
    (folder / shelf.JSON).write_bytes(card_json(card))
    return folder


async def in_the_pane(screen) -> None:
    await screen.press("escape")
    await screen.press("5")
    await screen.sees("reproduction ")


def line_of(card: Card | None, width: int) -> str:
    return "".join(text for text, _ in cards_text.card_line("logit-lens", card, width))


class TestText:
    @pytest.mark.parametrize("width", [60, 76, 116])
    def test_no_line_is_wider_than_the_pane(self, card, width):
        for text in (cards_text.at_a_glance(card, width), cards_text.in_full(card, width)):
            for line in text.plain.splitlines():
                # An option name of the command line can't be broken.
                assert cell_len(line) <= width or line.lstrip().startswith("mlxterp-tui")

    def test_the_glance_has_each_claim_with_both_figures_and_its_verdict_in_words(self, card):
        text = " ".join(cards_text.at_a_glance(card, 400).plain.split())
        for claim in card.claims:
            sign, _ = cards_text.SIGNS[claim.verdict]
            assert f"{sign} {claim.verdict} {claim.claim}" in text
            assert claim.paper.value in text
            assert ours_in_words(claim.ours) in text
        assert "1.00 [0.933, 1.00] depth, n = 32" in text

    def test_the_full_card_has_rules_reasons_and_controls(self, card):
        text = " ".join(cards_text.in_full(card, 400).plain.split())
        for claim in card.claims:
            assert claim.rule in text
            assert claim.reason in text
            assert all(name in text for name in claim.controls)
        assert text.endswith("mlxterp-tui reproduce logit-lens --model smollm2-135m --seed 0")

    def test_every_verdict_has_a_sign_of_its_own(self):
        signs = [cards_text.SIGNS[verdict][0] for verdict in VERDICTS]
        assert len(set(signs)) == len(VERDICTS)

    def test_a_line_counts_verdicts_in_words_where_there_is_room(self, card):
        wide, narrow = (line_of(card, width) for width in (120, 76))
        assert "✓ 1 same shape  ≈ 1 same direction  ✗ 2 not reproduced  smollm2-135m" in wide
        assert "✓ 1  ≈ 1  ✗ 2  smollm2-135m" in narrow

    def test_without_a_card_the_line_names_the_keys(self):
        assert "r or f makes one" in line_of(None, 80)


async def test_an_empty_shelf_teaches_how_a_card_is_made(opened):
    async with opened((80, 24)) as screen:
        await in_the_pane(screen)
        await screen.sees("No card of The logit lens yet")
        assert "mlxterp-tui reproduce logit-lens" in screen.text
        await screen.press("enter")
        assert "there is no card of logit-lens yet" in screen.notices[-1]


async def test_the_last_card_stands_under_the_list(opened, on_the_shelf):
    async with opened((80, 24)) as screen:
        await in_the_pane(screen)
        await screen.sees("✗ not reproduced")
        await screen.sees("1 of 3 made")


async def test_a_small_screen_scrolls_to_the_last_claim(opened, on_the_shelf, card):
    async with opened((80, 24)) as screen:
        await in_the_pane(screen)
        await screen.sees("✗ not reproduced")
        assert card.claims[-1].claim[:30] not in screen.text
        await screen.press("d", "d")
        await screen.sees(card.claims[-1].claim[:30])
        await screen.press("u", "u")
        await screen.sees(card.claims[0].claim[:30])


async def test_enter_shows_all_of_the_card_and_pages_through_it(opened, on_the_shelf):
    async with opened((80, 24)) as screen:
        await in_the_pane(screen)
        await screen.sees("✗ not reproduced")
        await screen.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, Reader))
        await screen.sees("rule")
        await screen.press("G")
        await screen.sees("mlxterp-tui reproduce")
        await screen.press("g")
        await screen.sees("The logit lens ·")
        await screen.press("escape")
        assert not isinstance(screen.app.screen, Reader)


@pytest.mark.parametrize(("key", "task"), [("r", FULL), ("f", FAST)])
async def test_r_makes_a_card_in_full_and_f_a_fast_one_with_its_price(opened, card, key, task):
    async with opened() as screen:
        await in_the_pane(screen)
        screen.engine._free = 2
        await screen.press(key)
        await screen.sees("500 passes")
        await screen.sees("making logit-lens")
        assert screen.engine.asked[-1] == task
        folder = shelf.new_folder(card.name, card.created)
        folder.mkdir(parents=True)
        (folder / shelf.JSON).write_bytes(card_json(card))
        screen.engine.release()
        await screen.sees("✓ 1 same shape")
        await screen.until(lambda: "making" not in screen.text)
        said = "The logit lens: 1 same shape, 1 same direction, 2 not reproduced"
        assert said in screen.notices


async def test_one_card_is_made_at_a_time_and_x_stops_it(opened):
    async with opened() as screen:
        await in_the_pane(screen)
        screen.engine._free = 1
        await screen.press("r")
        await screen.sees("making logit-lens")
        await screen.press("f")
        assert "is being made already; x stops it" in screen.notices[-1]
        assert screen.engine.asked[-1] == FULL
        await screen.press("x")
        await screen.until(lambda: any("stopped; the runs" in said for said in screen.notices))
        await screen.until(lambda: "making" not in screen.text)


async def test_the_prompt_s_enter_makes_no_card(opened):
    async with opened() as screen:
        await in_the_pane(screen)
        asked = len(screen.engine.asked)
        await screen.press("i", "enter")
        assert len(screen.engine.asked) == asked


async def test_y_copies_the_card_as_markdown(opened, on_the_shelf, card):
    async with opened() as screen:
        await in_the_pane(screen)
        await screen.sees("same shape")
        await screen.press("y")
        copied = state_file("last-copy.txt")
        await screen.until(lambda: copied.exists() and copied.read_text() == card_markdown(card))


async def test_o_goes_to_the_runs_of_cards(opened, on_the_shelf):
    async with opened() as screen:
        await in_the_pane(screen)
        await screen.sees("same shape")
        await screen.press("o")
        await screen.sees("tag:card")


async def test_a_damaged_card_is_said_in_words_and_a_new_one_can_be_made(opened, on_the_shelf):
    (on_the_shelf / shelf.JSON).write_text("{")
    async with opened() as screen:
        await in_the_pane(screen)
        await screen.sees("is no card of this version")
        await screen.press("enter")
        assert "is no card of this version" in screen.notices[-1]


async def test_the_pane_writes_its_card_as_markdown_and_json(opened, on_the_shelf, card):
    async with opened() as screen:
        await in_the_pane(screen)
        await screen.sees("same shape")
        pane = screen.app.main.pane
        assert card_from(pane.exported(".json").encode()) == card
        assert pane.exported(".md") == card_markdown(card)
        with pytest.raises(BadInput, match=r"nothing to write as \.tsv"):
            pane.exported(".tsv")


def test_every_reproduction_has_a_title_a_paper_and_a_line_about_it():
    for entry in REPRODUCTIONS.values():
        assert all((entry.title, entry.paper, entry.about, entry.where))
