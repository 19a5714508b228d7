"""What a session leaves behind, file by file."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.panes.lens.memory import LensMemory, recalled
from mlxterp_tui.workspaces import Remembered, Workspaces, checked

import pytest


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(tmp_path)


class TestFiles:
    @pytest.mark.parametrize("name", ["", "ioi"])
    def test_what_was_left_comes_back(self, workspaces, name):
        left = Remembered(prompt="Hi\n한", model="glass-tiny", runs={"lens": 3}, pinned_runs=[1])
        workspaces.save(name, left)
        assert workspaces.load(name) == (left, "")

    def test_where_nothing_was_left_there_are_defaults_and_no_word(self, workspaces):
        assert workspaces.load("new") == (Remembered(), "")

    @pytest.mark.parametrize(
        "damage", [b"", b"{", b"[]", b'{"prompt": 1}', b"\xff\xfe", b'{"version": 99}']
    )
    def test_a_damaged_file_is_put_aside_in_words(self, workspaces, tmp_path, damage):
        (tmp_path / "session.json").write_bytes(damage)
        found, said = workspaces.load("")
        assert found == Remembered()
        assert "could not be read" in said
        assert (tmp_path / "session.json.unreadable").read_bytes() == damage

    def test_fields_of_another_version_are_passed_over(self, workspaces, tmp_path):
        (tmp_path / "session.json").write_text('{"prompt": "Hi", "colour": "red"}')
        assert workspaces.load("")[0].prompt == "Hi"


class TestNames:
    def test_they_are_listed_in_order_without_the_one_that_has_none(self, workspaces):
        for name in ("b", "", "a"):
            workspaces.save(name, Remembered())
        assert workspaces.names() == ["a", "b"]

    def test_a_deleted_one_comes_back_whole(self, workspaces):
        workspaces.save("ioi", Remembered(prompt="Hi"))
        workspaces.delete("ioi")
        assert (workspaces.names(), workspaces.deleted()) == ([], ["ioi"])
        workspaces.restore("ioi")
        assert workspaces.load("ioi")[0].prompt == "Hi"

    def test_what_is_not_there_cannot_be_deleted_or_restored(self, workspaces):
        workspaces.save("ioi", Remembered())
        with pytest.raises(BadInput, match="no workspace 'x'; there are: ioi"):
            workspaces.delete("x")
        with pytest.raises(BadInput, match="no workspace 'x' was deleted; there are: none"):
            workspaces.restore("x")

    def test_restoring_overwrites_nothing(self, workspaces):
        workspaces.save("ioi", Remembered(prompt="old"))
        workspaces.delete("ioi")
        workspaces.save("ioi", Remembered(prompt="new"))
        with pytest.raises(BadInput, match="delete that one first"):
            workspaces.restore("ioi")
        assert workspaces.load("ioi")[0].prompt == "new"

    @pytest.mark.parametrize("name", ["../x", "a/b", ".x", "x" * 41, "a b", "é", "\n"])
    def test_a_name_is_one_of_a_file_everywhere(self, name):
        with pytest.raises(BadInput, match="a name has up to 40 letters"):
            checked(name)

    def test_default_is_the_one_without_a_name_and_always_there(self, workspaces):
        assert checked("default") == ""
        with pytest.raises(BadInput, match="is always there"):
            workspaces.delete("default")


class TestLensMemory:
    @pytest.mark.parametrize(
        "found",
        [{"metric": "no-such"}, {"stride": 0}, {"cursor": "x"}, {"stride": "many"}, {"width": -1}],
    )
    def test_what_makes_no_sense_is_as_good_as_nothing(self, found):
        assert recalled(found) == LensMemory()

    def test_a_place_is_a_pair(self):
        assert recalled({"cursor": [3, 1]}).cursor == (3, 1)
