"""The page of trajectories, on a recording of the default model."""

from __future__ import annotations

from mlxterp_tui.panes.lens.view import Cell


async def shown(screen, *keys: str):
    await screen.press("escape", "C", *keys)
    await screen.sees("over the layers")


async def test_C_draws_the_rank_over_the_layers_and_escape_goes_back(opened):
    async with opened() as screen:
        await shown(screen)
        await screen.sees("rank of the final token (0 = top) · log")
        await screen.sees("' is'@4 → ' Paris' 0")
        await screen.press("escape")
        await screen.until(lambda: screen.app.main.pane_name == "lens")
        assert screen.app.main.pane.has_focus_within


async def test_the_cursor_is_the_lens_s(opened):
    async with opened() as screen:
        await shown(screen, "h", "h", "k")
        await screen.sees("blocks.27.resid_post · position 3")
        await screen.press("escape")
        assert screen.app.main.pane.view.cursor == Cell(27, 3)
        assert screen.app.main.pane.grid.cursor == (28, 3)


async def test_m_goes_through_the_measures_and_space_keeps_a_position(opened):
    async with opened() as screen:
        await shown(screen, "space", "k", "m", "m", "m")
        await screen.sees("KL(final ‖ row), nats")
        await screen.sees("2 ' is'@4")
        await screen.press("escape")
        await screen.until(lambda: "' is'@4" not in screen.text, "dropped what was kept")
        assert screen.app.main.pane_name == "lens-chart"


async def test_four_measures_stand_beside_one_another(opened):
    async with opened() as screen:
        await shown(screen, "o")
        for title in ("rank of", "probability of", "KL(final", "entropy of"):
            await screen.sees(title)


async def test_a_target_is_taken_from_the_chart_too_and_the_prompt_runs_the_lens(opened):
    async with opened() as screen:
        await shown(screen, "t")
        await screen.until(lambda: screen.app.main.pane_named("lens").run.target == " Paris")
        await screen.sees("rank of ' Paris' (0 = top)")
        assert screen.app.main.pane_name == "lens-chart"


async def test_its_lines_are_written_as_a_table(opened, tmp_path):
    async with opened() as screen:
        await shown(screen)
        await screen.command(f"export {tmp_path}/ranks.csv")
        await screen.until((tmp_path / "ranks.csv").exists)
        head, *rows = (tmp_path / "ranks.csv").read_text().splitlines()
        assert head == "layer,rank: ' is'@4 → ' Paris'"
        assert len(rows) == 31
        assert rows[-1] == "29,0"
