"""The lens on screen, on a recording of the default model."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import LogitLens
from mlxterp_tui.panes.lens.view import Cell
from mlxterp_tui.screens.reader import Reader

import pytest
from recorded_engine import Recording

LAST = Cell(29, 4)


def answer_rank(screen) -> int:
    view, run = screen.app.main.pane.view, screen.app.main.pane.run
    return run.row(view.cursor.layer).final_rank.values[view.cursor.pos]


class TestFirstSight:
    async def test_the_example_is_run_at_once_and_its_answer_is_read(self, opened):
        async with opened() as screen:
            assert "The capital of France is" in screen.text
            assert "' Paris' on top from block 29 on" in screen.text

    async def test_the_checks_are_shown_with_what_was_measured(self, opened):
        async with opened() as screen:
            await screen.sees("✓ last row = logits")
            assert "31 × 5" in screen.text

    async def test_the_cursor_stands_on_the_answer(self, opened):
        async with opened() as screen:
            assert screen.app.main.pane.view.cursor == LAST

    async def test_until_there_is_a_lens_the_pane_says_what_it_will_show(self, opened):
        async with opened(free=0) as screen:
            await screen.sees("what would the model say next, if it stopped after this block")
            screen.engine.release()
            await screen.sees("' Paris' on top")


class TestStreaming:
    async def test_rows_are_painted_as_they_come(self, opened):
        async with opened(free=12) as screen:
            pane = screen.app.main.pane
            await screen.until(lambda: pane.run.rows, "some rows")
            assert pane.run.state == "running"
            assert 0 < len(pane.run.rows) < 31
            assert "·" in screen.text
            screen.engine.release()
            await screen.until(lambda: len(pane.run.rows) == 31, "all rows")

    async def test_x_stops_the_run_and_keeps_the_rows_that_came(self, opened):
        async with opened(free=12) as screen:
            pane = screen.app.main.pane
            await screen.until(lambda: pane.run.rows, "some rows")
            known = len(pane.run.rows)
            await screen.press("escape", "x")
            await screen.until(lambda: pane.run.state == "cancelled", "the end")
            assert len(pane.run.rows) == known
            await screen.sees(f"cancelled: {known} of 31 rows")


class TestMetrics:
    async def test_m_goes_to_the_next_metric_and_says_which(self, opened):
        async with opened() as screen:
            await screen.sees("rank of the final token (0 = top)")
            await screen.press("escape", "m")
            await screen.sees("probability of the row's own top token")
            await screen.press("M", "M")
            await screen.sees("KL(final ‖ row), nats")

    async def test_metrics_of_a_target_are_refused_until_there_is_one(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("metric target-rank")
            await screen.until(lambda: any("needs a target" in n for n in screen.notices))

    async def test_t_follows_the_token_under_the_cursor(self, opened):
        async with opened() as screen:
            await screen.press("escape", "t")
            await screen.sees("target ' Paris'")
            assert screen.engine.asked[-1].target == " Paris"
            await screen.sees("rank of ' Paris' (0 = top)")

    async def test_t_again_lets_the_token_go(self, opened):
        async with opened() as screen:
            await screen.press("escape", "t")
            await screen.sees("target ' Paris'")
            await screen.press("t")
            await screen.until(lambda: screen.app.main.pane.run.target is None)
            await screen.sees("rank of the final token")

    async def test_a_typed_target_keeps_its_leading_space(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command('target " Paris"')
            await screen.until(lambda: screen.engine.asked[-1].target == " Paris")

    async def test_a_target_that_the_engine_refuses_leaves_the_lens_as_it_was(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command('target "no token at all"')
            await screen.until(lambda: any("not recorded" in n for n in screen.notices))
            assert screen.app.main.pane.run.state == "done"
            await screen.press("r")
            await screen.until(lambda: len(screen.engine.asked) == 4)
            assert screen.engine.asked[-1].target is None


class TestMoving:
    async def test_down_goes_to_the_block_below_and_the_inspector_follows(self, opened):
        async with opened() as screen:
            await screen.press("escape", "j", "j", "h")
            assert screen.app.main.pane.view.cursor == Cell(27, 3)
            await screen.sees("blocks.27.resid_post · position 3 ' France'")

    async def test_turned_over_the_embeddings_are_on_top(self, opened):
        async with opened() as screen:
            await screen.press("escape", "b", "g")
            assert screen.app.main.pane.view.cursor.layer == -1
            await screen.sees("embed · position 4")

    async def test_a_stride_leaves_blocks_out_but_never_the_last(self, opened):
        async with opened() as screen:
            await screen.press("escape", "s", "s", "j")
            assert screen.app.main.pane.view.cursor == Cell(25, 4)
            await screen.sees("every 4 blocks")

    async def test_the_place_is_kept_when_the_same_prompt_runs_again(self, opened):
        async with opened() as screen:
            await screen.press("escape", "j", "j", "r")
            await screen.until(lambda: len(screen.engine.asked) == 3)
            await screen.until(lambda: screen.app.main.pane.run.state == "done")
            assert screen.app.main.pane.view.cursor == Cell(27, 4)


class TestFinding:
    async def test_slash_finds_a_token_and_n_the_next_one(self, opened):
        async with opened() as screen:
            await screen.press("escape", "slash")
            await screen.type("capital")
            await screen.press("enter")
            assert screen.app.main.pane.view.cursor == Cell(28, 4)
            await screen.press("n")
            first = screen.app.main.pane.view.cursor
            assert first != Cell(28, 4)
            await screen.press("N")
            assert screen.app.main.pane.view.cursor == Cell(28, 4)

    async def test_what_is_nowhere_is_said(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("find zebra")
            await screen.until(lambda: any("no cell" in n for n in screen.notices))


class TestComparing:
    async def test_space_pins_a_cell_and_escape_lets_it_go(self, opened):
        async with opened() as screen:
            await screen.press("escape", "space", "j")
            await screen.sees("pinned: ' Paris' .773")
            await screen.sees("cursor − pinned: entropy")
            await screen.press("escape")
            await screen.until(lambda: "pinned:" not in screen.text)

    async def test_f_lists_one_position_over_all_blocks(self, opened):
        async with opened(size=(200, 50)) as screen:
            await screen.press("escape", "f")
            listed = screen.app.main.pane.query_one("#lens-follow")
            await screen.until(lambda: listed.display and listed.size.width)
            # ' Paris' at rank 2 before the last block: the recording's number.
            assert any("·capital" in line and " 2 " in line for line in screen.lines)

    async def test_enter_reads_the_cell_in_full_digits(self, opened):
        async with opened() as screen:
            await screen.press("escape", "enter")
            await screen.until(lambda: isinstance(screen.app.screen, Reader))
            await screen.sees("0.772")
            await screen.press("escape")
            assert screen.app.screen is screen.app.main


class TestTakingAway:
    async def test_y_keeps_a_copy_and_says_where(self, opened, home):
        async with opened() as screen:
            await screen.press("escape", "y")
            await screen.until(lambda: any("last-copy.txt" in n for n in screen.notices))
            copied = (home / "state" / "last-copy.txt").read_text()
            assert '29\tblocks.29.resid_post\t4\t" is"\t" Paris"\t0.772' in copied
            assert "sent to the terminal" in screen.notices[0]

    async def test_a_table_has_a_line_for_each_cell(self, opened, home):
        async with opened() as screen:
            await screen.press("escape", "Y")
            await screen.until(lambda: screen.notices)
            lines = (home / "state" / "last-copy.txt").read_text().splitlines()
            assert len(lines) == 1 + 31 * 5

    async def test_e_writes_json_as_run_does(self, opened, tmp_path):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command(f"export {tmp_path}/lens.json")
            await screen.until(lambda: (tmp_path / "lens.json").exists())
            written = json.loads((tmp_path / "lens.json").read_text())
            assert written["token_ids"] == [504, 3575, 282, 4649, 314]
            assert written["top_tokens"][-1][-1][0] == " Paris"
            assert written["meta"]["contracts"]["lens_last_row"]["ok"] is True

    async def test_a_picture_is_an_svg(self, opened, tmp_path):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command(f"export {tmp_path}/lens.svg")
            await screen.until(lambda: (tmp_path / "lens.svg").exists())
            picture = (tmp_path / "lens.svg").read_text()
            assert picture.lstrip().startswith("<svg")
            assert "Paris" in picture
            assert ":export" not in picture

    async def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("export /proc/lens.tsv")
            await screen.until(lambda: any("could not be written" in n for n in screen.notices))

    async def test_no_folder_is_made_for_a_mistyped_path(self, opened, tmp_path):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command(f"export {tmp_path}/nowhere/lens.tsv")
            await screen.until(lambda: any("is no folder" in n for n in screen.notices))
            assert not (tmp_path / "nowhere").exists()


class TestOtherPrompts:
    async def test_another_prompt_becomes_another_grid(self, opened, recording: Recording):
        longer = recording.runs[2].task
        assert isinstance(longer, LogitLens)
        async with opened() as screen:
            await screen.press("escape")
            await screen.command(f"ask {longer.prompt}")
            await screen.until(lambda: screen.app.main.pane.run.positions > 5)
            await screen.sees(f"31 × {len(recording.tokens[longer.prompt].ids)}")

    async def test_a_prompt_that_fails_is_told_and_the_old_lens_stays(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("ask nobody recorded this")
            await screen.until(lambda: any("not recorded" in n for n in screen.notices))
            await screen.sees("' Paris' on top")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (40, 12)])
async def test_it_opens_in_any_size_and_shows_the_answer(opened, size):
    async with opened(size=size) as screen:
        await screen.sees("Paris")
