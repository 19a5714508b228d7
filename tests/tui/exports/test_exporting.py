"""`:export` in the app: every pane that shows a run writes it in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_engine.techniques.npz import read_npz
from mlxterp_tui.exporting import PICTURES, suggested_exports


async def export(screen, path: Path) -> bytes:
    """Not by typing `:export PATH`: the lens's tests do that, and a key takes its time."""
    screen.app.action_export(str(path))
    await screen.until(lambda: f"written: {path}" in screen.notices, f"{path} is written")
    return path.read_bytes()


async def test_the_lens_is_written_in_every_format(opened, tmp_path):
    async with opened() as screen:
        await screen.press("escape")
        names = suggested_exports(screen.app.main.pane)
        assert [Path(name).suffix for name in names] == [
            ".svg", ".png", ".md", ".py", ".json", ".csv", ".tsv", ".npz",
        ]  # fmt: skip
        for suffix in (".png", ".md", ".py", ".csv", ".tsv", ".npz"):
            await export(screen, tmp_path / f"lens{suffix}")
    assert (tmp_path / "lens.png").read_bytes().startswith(b"\x89PNG")
    assert "▸·Paris" in (tmp_path / "lens.md").read_text()
    assert (tmp_path / "lens.py").read_text().startswith("# An unrecorded run, logit-lens: ")
    with (tmp_path / "lens.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 31 * 5 * 10
    assert read_npz(tmp_path / "lens.npz")[1]["kl"].shape == (31, 5)


async def test_a_recorded_run_is_written_with_what_was_expected_of_it(opened, log, tmp_path):
    async with opened(log=log) as screen:
        await screen.press("escape")
        await screen.command("hypothesis it says Paris")
        await screen.press("r")
        await screen.until(lambda: screen.app.main.run_in_front == 2, "the second run")
        page = (await export(screen, tmp_path / "lens.md")).decode()
        assert page.startswith("# Run 2, logit-lens: ")
        assert "> **Expected:** it says Paris" in page
        assert "mlxterp-tui runs replay 2" in page


async def test_the_list_of_runs_writes_the_run_under_its_cursor(opened, log, recording, tmp_path):
    run = recording.runs[2]
    other = log.begin(run.task, Said(note="another prompt"))  # type: ignore[arg-type]
    log.finish(other, run.events[-1].outcome)  # type: ignore[union-attr]
    async with opened() as screen:
        await screen.press("escape", "4")
        await screen.until(lambda: screen.app.main.run_in_front == other, "the list")
        assert f"run-{other}.csv" in suggested_exports(screen.app.main.pane)
        written = json.loads(await export(screen, tmp_path / "run.json"))
        assert written["meta"]["experiment"]["prompt"].startswith("When Mary and John")
        assert "another prompt" in (await export(screen, tmp_path / "run.md")).decode()


async def test_a_pane_without_a_run_writes_its_picture_and_says_what_is_missing(opened, tmp_path):
    async with opened() as screen:
        await screen.press("escape", "3")
        names = suggested_exports(screen.app.main.pane)
        assert tuple(Path(name).suffix for name in names) == PICTURES
        screen.app.action_export(f"{tmp_path}/jobs.csv")
        await screen.until(lambda: any("nothing to write as .csv" in n for n in screen.notices))
        assert b"<svg" in await export(screen, tmp_path / "jobs.svg")


async def test_a_name_without_a_format_is_refused(opened, tmp_path):
    async with opened() as screen:
        await screen.press("escape")
        screen.app.action_export(f"{tmp_path}/lens.doc")
        await screen.until(lambda: any("ends in no format" in n for n in screen.notices))
    assert not (tmp_path / "lens.doc").exists()
