"""The page of patchscopes, on an engine that answers from a script."""

from __future__ import annotations

import pytest
from scripted_patchscope import WithPatchscopes


@pytest.fixture(scope="module")
def recording():
    return WithPatchscopes.load("smollm2")


async def read(screen, *keys: str):
    await screen.press("escape", *keys, "v")
    await screen.sees("of the target prompt")


async def test_v_reads_the_state_under_the_lens_s_cursor(opened):
    async with opened() as screen:
        await read(screen, "j", "j", "h")
        await screen.sees("read     blocks.27.resid_post · position 3 ' France'")
        await screen.sees(" blocks.27.resid_post@3 in None")
        await screen.sees("written  blocks.27.resid_post · position 2 of the target prompt '?'")
        await screen.press("escape")
        await screen.until(lambda: screen.app.main.pane_name == "lens")


async def test_another_block_is_read_and_the_readings_gather(opened):
    async with opened() as screen:
        await read(screen)
        await screen.sees("@4 in None")
        await screen.press("j")
        await screen.sees(" blocks.28.resid_post@4 in None")
        await screen.sees("readings, the newest first")
        await screen.press("h")
        await screen.sees(" blocks.28.resid_post@3 in None")
        await screen.press("u")
        await screen.sees("position 4 ' is'")


async def test_keys_pressed_fast_are_asked_once(opened):
    async with opened() as screen:
        await read(screen)
        await screen.sees("@4 in None")
        before = len(screen.engine.asked)
        await screen.press("j", "j", "j", "less_than_sign")
        await screen.sees(" blocks.26.resid_post@4 in 25")
        assert len(screen.engine.asked) == before + 1


async def test_the_block_and_the_token_that_are_written_over_can_be_changed(opened):
    async with opened() as screen:
        await read(screen)
        await screen.press("less_than_sign")
        await screen.sees("another block: blocks.28.resid_post")
        await screen.press("comma")
        await screen.sees("position 1 of the target prompt ' ->'")
        await screen.press("equals_sign")
        await screen.until(lambda: "another block" not in screen.text)


async def test_what_is_refused_changes_nothing(opened):
    async with opened() as screen:
        await read(screen)
        await screen.sees("@4 in None")
        await screen.command("target-prompt wrong")
        await screen.until(lambda: any("wrong; take" in notice for notice in screen.notices))
        await screen.press("k")
        await screen.press("j")
        await screen.sees(" blocks.28.resid_post@4 in None")


async def test_the_colon_line_takes_a_site_and_options(opened):
    async with opened() as screen:
        await screen.press("escape")
        await screen.command("patchscope blocks.3.resid_mid@1 --target-layer 2")
        await screen.sees(" blocks.3.resid_mid@1 in 2")


async def test_without_a_state_it_says_how_to_choose_one(opened):
    async with opened() as screen:
        await screen.press("escape")
        screen.app.main.action_show_pane("patchscope")
        await screen.sees("v on a cell of the lens reads that state")
        await screen.press("j")
        await screen.until(lambda: any("no state is chosen" in notice for notice in screen.notices))


async def test_a_recorded_one_opens_from_the_log_as_it_was(opened, log):
    async with opened(log=log) as screen:
        await read(screen, "j")
        await screen.sees(" blocks.28.resid_post@4 in None")
        run = screen.app.main.pane.recorded_as
        assert run is not None
    async with opened() as screen:
        await screen.press("escape")
        await screen.command(f"show {run}")
        await screen.sees("blocks.28.resid_post · position 4 ' is'")
        assert screen.app.main.pane_name == "patchscope"
        assert screen.app.main.pane.question.site == "blocks.28.resid_post"
        assert screen.app.main.pane.stored.id == run


async def test_readings_are_written_as_a_table(opened, tmp_path):
    async with opened() as screen:
        await read(screen)
        await screen.sees("@4 in None")
        await screen.command(f"export {tmp_path}/readings.tsv")
        await screen.until((tmp_path / "readings.tsv").exists)
        head, line = (tmp_path / "readings.tsv").read_text().splitlines()
        assert head.startswith("site\tposition")
        assert "blocks.29.resid_post\t4" in line


async def test_the_target_prompt_and_the_length_are_remembered(opened):
    async with opened() as screen:
        await read(screen)
        await screen.command("max-tokens 3")
        await screen.sees("up to 3 tokens")
        kept = screen.app.main.pane.remembered()
    async with opened() as screen:
        screen.app.main.pane_named("patchscope").recall({**kept, "target_prompt": 7})
        await read(screen)
        await screen.sees("up to 3 tokens")


async def test_what_the_last_session_showed_does_not_take_the_place_of_the_cell(opened, log):
    async with opened(log=log) as screen:
        await read(screen)
        await screen.sees("@4 in None")
        await screen.app.remembering.keep()
        assert "patchscope" in screen.app.remembering.snapshot().runs
    async with opened(log=log) as screen:
        await screen.press("escape", "j", "h", "v")
        await screen.sees(" blocks.28.resid_post@3 in None")
