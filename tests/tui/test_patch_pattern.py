"""A head's attention pattern on screen, on the tiny model."""

from __future__ import annotations

from mlxterp_engine.experiments import Attention

import pytest

BLOCKS, HEADS = 4, 4
PROMPT = "The cat sat on the mat"


def page_of(screen):
    page = screen.app.main.pane
    assert screen.app.main.pane_name == "pattern"
    return page


def asked(screen) -> list[Attention]:
    return [task for task in screen.engine.asked if isinstance(task, Attention)]


async def with_pattern(screen, block: int = 2, head: int = 1):
    """The page on one head of a block."""
    await screen.press("escape")
    screen.app.main.prompt.text = PROMPT
    screen.app.main.action_show_pane("pattern")
    page = page_of(screen)
    page.look(block, head)
    screen.app.main.ask_prompt()
    await screen.until(lambda: page.result is not None, "the pattern")
    page.focus_contents()
    await screen.pilot.pause()
    return page


async def test_a_row_adds_up_to_one_and_reads_nothing_later(on_tiny):
    async with on_tiny() as screen:
        page = await with_pattern(screen)
        last = len(page._tokens) - 1
        weights = [page.weight(last, column) for column in range(last + 1)]
        assert sum(weights) == pytest.approx(1.0, abs=1e-5)  # float32 weights
        assert page.weight(0, last) == 0.0


async def test_the_cursor_begins_where_the_last_token_reads_most(on_tiny):
    async with on_tiny() as screen:
        page = await with_pattern(screen)
        row, column = page.grid.cursor
        last = len(page._tokens) - 1
        weights = [page.weight(last, each) for each in range(last + 1)]
        assert (row, weights[column]) == (last, max(weights))
        await screen.sees(f"position {last}")


async def test_heads_are_gone_through_without_asking_again(on_tiny):
    async with on_tiny() as screen:
        page = await with_pattern(screen)
        await screen.press("full_stop")
        assert page.head == 2
        await screen.press("comma", "comma", "comma")
        assert page.head == HEADS - 1
        assert len(asked(screen)) == 1


async def test_another_block_is_asked_for(on_tiny):
    async with on_tiny() as screen:
        page = await with_pattern(screen)
        await screen.press("n")
        await screen.until(lambda: len(asked(screen)) == 2, "the next block")
        assert asked(screen)[-1].layers == [3]
        await screen.until(lambda: page.result.arrays["layers"].tolist() == [3], "its pattern")


async def test_the_table_is_a_line_a_destination(on_tiny):
    async with on_tiny() as screen:
        page = await with_pattern(screen)
        head, *rows = page.exported(".tsv").splitlines()
        assert head.split("\t")[1] == '"The"'
        assert len(rows) == len(page._tokens)
        assert float(rows[0].split("\t")[1]) == 1.0
