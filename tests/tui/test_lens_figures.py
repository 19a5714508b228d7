"""The page of figures, on a recording of the default model."""

from __future__ import annotations

from mlxterp_tui.panes.lens.view import Cell


async def shown(screen, *keys: str):
    await screen.press("escape", "F", *keys)
    await screen.sees("means over")


async def test_F_shows_the_layers_with_the_last_on_top_and_escape_goes_back(opened):
    async with opened() as screen:
        await shown(screen)
        await screen.sees("means over 4 positions, the first token left out")
        await screen.sees("by layer")
        await screen.press("f")
        await screen.sees("means over all 5 positions")
        await screen.press("escape")
        await screen.until(lambda: screen.app.main.pane_name == "lens")


async def test_the_cursor_is_the_lens_s_in_both_directions(opened):
    async with opened() as screen:
        await shown(screen, "j", "j")
        await screen.sees("block 27 · KL(final ‖ row)")
        await screen.press("p", "k")
        await screen.sees("position 3 ' France'")
        await screen.press("escape")
        assert screen.app.main.pane.view.cursor == Cell(27, 3)


async def test_m_draws_another_figure(opened):
    async with opened() as screen:
        await shown(screen, "m", "m")
        await screen.sees("share of positions whose top token is the last row's")


async def test_the_table_is_written(opened, tmp_path):
    async with opened() as screen:
        await shown(screen)
        await screen.command(f"export {tmp_path}/figures.tsv")
        await screen.until((tmp_path / "figures.tsv").exists)
        assert len((tmp_path / "figures.tsv").read_text().splitlines()) == 32


async def test_rows_that_come_are_taken_in(opened):
    async with opened(free=12) as screen:
        pane = screen.app.main.pane
        await screen.until(lambda: pane.run.rows, "some rows")
        await shown(screen)
        await screen.sees("of 31 rows known")
        screen.engine.release()
        await screen.until(lambda: "rows known" not in screen.text, "all rows")


async def test_F_and_C_go_from_page_to_page(opened):
    async with opened() as screen:
        await shown(screen)
        await screen.press("C")
        await screen.sees("over the layers")
        await screen.press("F")
        await screen.sees("by layer")
