"""Many runs as a folder of Markdown."""

from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.exports.notebook import Notebook, write_notebook
from mlxterp_tui.logbook import Stored

import made
import msgspec
import pytest

FIRST, SECOND = "2026-11-21-1-logit-lens", "2026-11-21-2-logit-lens"


def run(number: int, **said: str) -> Stored:
    return made.stored(made.tiny_lens(), id=number, **said)


def write(folder: Path, *runs: Stored, beside: tuple[str, ...] = ()) -> Notebook:
    return write_notebook(folder, ((stored, "") for stored in runs), beside)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_page_a_run_and_an_index_newest_first(tmp_path):
    done = write(tmp_path / "notes", run(2, hypothesis="it says *x*"), run(1))
    assert (done.runs, len(done.changed)) == (2, 3)
    assert names(tmp_path / "notes") == [f"{FIRST}.md", f"{SECOND}.md", "index.md"]
    index = (tmp_path / "notes" / "index.md").read_text()
    assert index.split("\n\n")[2:] == [
        f"- [run 2, logit-lens]({SECOND}.md) · 2026-11-21 · done  \n"
        "  expected: it says \\*x\\*  \n"
        "  result: it says x",
        f"- [run 1, logit-lens]({FIRST}.md) · 2026-11-21 · done  \n  result: it says x\n",
    ]


def test_again_it_changes_only_what_has_changed(tmp_path):
    write(tmp_path, run(2), run(1))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write(tmp_path, run(2), run(1)).changed == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    changed = write(tmp_path, run(2), run(1, outcome="so it did")).changed
    assert changed == [tmp_path / f"{FIRST}.md", tmp_path / "index.md"]


def test_runs_that_are_there_stay_in_the_index(tmp_path):
    write(tmp_path, run(1))
    write(tmp_path, run(2))
    index = (tmp_path / "index.md").read_text()
    assert index.index("[run 2,") < index.index("[run 1,")
    (tmp_path / f"{FIRST}.md").unlink()
    write(tmp_path, run(2))
    assert "[run 1," not in (tmp_path / "index.md").read_text()


def test_scripts_and_arrays_only_when_asked_and_only_where_there_are_any(tmp_path):
    failed = msgspec.structs.replace(run(1).record, state="failed", reason="no memory")
    write(tmp_path / "notes", run(2), Stored(failed), beside=("py", "npz"))
    assert names(tmp_path / "notes") == [
        f"{FIRST}.md", f"{FIRST}.py", f"{SECOND}.md", f"{SECOND}.npz", f"{SECOND}.py", "index.md",
    ]  # fmt: skip


def test_a_paper_s_card_has_a_page_and_no_script(tmp_path):
    request = {"name": "reproduce", "card": "logit-lens", "model": "toy"}
    card = msgspec.structs.replace(run(1).record, request=request)
    write(tmp_path / "notes", Stored(card), beside=("py",))
    assert names(tmp_path / "notes") == ["2026-11-21-1-reproduce.md", "index.md"]


@pytest.mark.parametrize("name", ["index.md", f"{FIRST}.md"])
def test_somebody_elses_file_is_left_as_it_is(tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "other.txt").write_text("mine too")
    with pytest.raises(BadInput, match="is not one of ours"):
        write(tmp_path, run(1))
    assert (tmp_path / name).read_text() == "mine"
    assert (tmp_path / "other.txt").read_text() == "mine too"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        write(tmp_path / "file", run(1))
    with pytest.raises(BadInput, match="is no folder; make it first"):
        write(tmp_path / "nowhere" / "notes", run(1))
