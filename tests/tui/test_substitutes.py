"""Other words for a part of a prompt: what the engine offers, to choose from."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from mlxterp_engine.experiments import BadInput, Result, Substitutes
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.running import run
from mlxterp_tui.panes.patch.offers import Offer, offers_of, rows_of
from mlxterp_tui.screens.substitutes import SubstitutePicker
from mlxterp_tui.widgets.ranked_list import RankedList, RankedRow

import pytest
from textual.app import App

PROMPT = "The cat sat on the mat"


@pytest.fixture(scope="module")
def result(tiny: InterpretableModel) -> Result:
    asked = Substitutes(prompt=PROMPT, span=[1, 2], count=6, model="glass-tiny")
    return run(asked, tiny).result


class TestOffers:
    def test_each_has_its_prompt_of_as_many_tokens_with_that_text_in_it(self, result, tiny):
        offers = offers_of(result)
        assert offers
        read = [tiny.tokens.encode(offer.prompt) for offer in offers]
        own = tiny.tokens.encode(PROMPT)
        assert {len(ids) for ids in read} == {len(own)}
        assert all(ids[:1] + ids[2:] == own[:1] + own[2:] for ids in read)
        assert all(offer.text in offer.prompt for offer in offers)

    def test_following_is_told_beside_what_the_prompt_s_own_words_give(self):
        half = math.log(0.5)
        offers = [Offer(" John", "…", 0.25, 0.0), Offer(" Tom", "…", 0.125, half)]
        assert rows_of(offers) == [
            RankedRow(" John", 1.0, "0.25", "+0.0 nats"),
            RankedRow(" Tom", 0.25, "0.12", "−0.7 nats"),
        ]

    def test_bars_fall_as_the_engine_ranked(self, result):
        parts = [row.part for row in rows_of(offers_of(result))]
        assert parts == sorted(parts, reverse=True)
        assert parts[0] == 1.0

    def test_at_the_beginning_of_a_prompt_there_is_no_probability(self):
        assert rows_of([Offer("John", "…", None, 0.0)])[0][1:3] == (1.0, "")

    def test_a_probability_of_nothing_draws_no_bar(self):
        assert rows_of([Offer("John", "…", 0.0, 0.0)])[0].part == 0.0


class Host(App[None]):
    def __init__(self, ask: Callable) -> None:
        super().__init__()
        self.ask = ask
        self.taken: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(SubstitutePicker(" cat", 1, self.ask), self.taken.append)

    @property
    def text(self) -> str:
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(pilot, words: str) -> None:
    for _ in range(200):
        if words in pilot.app.text:
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never came: {words}\n{pilot.app.text}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_chosen_words_come_back_as_a_whole_prompt(result, size):
    async def ask() -> Result:
        return result

    app = Host(ask)
    async with app.run_test(size=size) as pilot:
        await until(pilot, "All are one token, put in place")
        second = offers_of(result)[1]
        assert "in place of ' cat'" in app.text
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.taken == [second.prompt]


async def test_while_the_engine_looks_that_is_said_and_escape_leaves():
    async def ask() -> Result:
        await asyncio.sleep(60)
        raise AssertionError

    app = Host(ask)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "The engine looks for words of 1 token")
        await pilot.press("escape")
        await pilot.pause()
        assert app.taken == [None]


async def test_a_refusal_is_said_in_place():
    async def ask() -> Result:
        raise BadInput("span [1, 9] is beyond the prompt")

    app = Host(ask)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "span [1, 9] is beyond the prompt")


async def test_nothing_found_is_said_with_the_way_out(result):
    import msgspec

    empty = {**result.strings, "texts": [], "prompts": []}
    arrays = {name: array for name, array in result.arrays.items() if name.startswith("original")}
    none = dict.fromkeys(("probability", "following_log_prob"), _Nothing())
    nothing = msgspec.structs.replace(result, strings=empty, arrays={**arrays, **none})

    async def ask() -> Result:
        return nothing

    app = Host(ask)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "Nothing of equally many tokens was found; mark other words")
        await pilot.press("enter")
        assert app.taken == []


class _Nothing:
    def tolist(self) -> list[float]:
        return []


class TestRankedList:
    async def test_rows_are_as_wide_as_their_texts_and_the_cursor_s_is_marked(self):
        class Alone(App[None]):
            def compose(self):
                yield RankedList(ascii_bars=True)

            def on_mount(self) -> None:
                rows = [RankedRow(" John", 1.0, ".41", "x"), RankedRow(" Jo", 0.5, ".2")]
                self.query_one(RankedList).set_rows(rows)

        async with Alone().run_test(size=(40, 4)) as pilot:
            strips = pilot.app.screen._compositor.render_strips()
            lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
            assert lines[:2] == [
                "▸  ·John  .41 ########## x",
                "   ·Jo     .2 #####",
            ]
