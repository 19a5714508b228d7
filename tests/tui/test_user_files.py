"""Config, history and clipboard: small files, and no start that fails because of them."""

from __future__ import annotations

import base64
from pathlib import Path

from mlxterp_tui import clipboard, config
from mlxterp_tui.clipboard import osc52
from mlxterp_tui.history import History

import pytest


class TestConfig:
    def test_no_file_means_the_defaults(self, tmp_path: Path):
        assert config.load(tmp_path / "config.toml") == (config.Config(), [])

    def test_it_says_what_is_set(self, tmp_path: Path):
        path = tmp_path / "config.toml"
        path.write_text('theme = "light"\nbos = "on"\n[keys]\nzoom = "Z"\n')
        found, troubles = config.load(path)
        assert (found.theme, found.bos, found.keys) == ("light", "on", {"zoom": "Z"})
        assert troubles == []

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("theme = [", "could not be read"),
            ("thema = 'x'", "'thema', which is no setting"),
            ("theme = 3", "theme is 3"),
            ("bos = 'perhaps'", "give one of auto, on, off"),
            ("keys = ['q']", "keys is ['q']"),
        ],
    )
    def test_what_is_wrong_is_one_sentence_and_the_default_holds(self, tmp_path, text, words):
        path = tmp_path / "config.toml"
        path.write_text(text)
        found, (trouble,) = config.load(path)
        assert words in trouble
        assert found == config.Config()

    def test_saving_keeps_comments(self, tmp_path: Path):
        path = tmp_path / "config.toml"
        path.write_text("# mine\ntheme = 'dark'\n")
        config.save(path, "theme", "light")
        assert "# mine" in path.read_text()
        assert config.load(path)[0].theme == "light"


class TestHistory:
    def test_it_is_kept(self, tmp_path: Path):
        history = History(tmp_path / "h.json")
        history.add("one")
        history.save()
        assert History(tmp_path / "h.json").last == "one"

    def test_up_and_down_come_back_to_what_was_being_typed(self, tmp_path: Path):
        history = History(tmp_path / "h.json")
        history.add("one")
        history.add("two")
        walked = [history.older("dra"), history.older("two"), history.older("one")]
        assert walked == ["two", "one", None]
        assert [history.newer(), history.newer(), history.newer()] == ["two", "dra", None]

    def test_up_never_shows_what_stands_there_already(self, tmp_path: Path):
        history = History(tmp_path / "h.json")
        history.add("one")
        history.add("two")
        assert history.older("two") == "one"

    def test_a_repeated_entry_moves_to_the_end(self, tmp_path: Path):
        history = History(tmp_path / "h.json")
        for text in ("one", "two", "one"):
            history.add(text)
        assert history.entries == ["two", "one"]

    def test_a_broken_file_is_as_good_as_none(self, tmp_path: Path):
        (tmp_path / "h.json").write_text("{")
        history = History(tmp_path / "h.json")
        assert history.entries == []
        assert "could not be read" in history.trouble


class TestClipboard:
    def test_the_terminal_is_asked_with_the_text_in_base64(self):
        assert osc52("é", in_tmux=False) == "\x1b]52;c;w6k=\a"

    def test_tmux_is_asked_itself_and_to_pass_it_on(self):
        plain = osc52("a", in_tmux=False)
        wrapped = osc52("a", in_tmux=True)
        assert wrapped == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"

    def test_over_ssh_no_program_of_the_far_machine_is_used(self, tmp_path, monkeypatch):
        monkeypatch.setattr(clipboard, "_run", lambda *_: pytest.fail("ran a local program"))
        done = clipboard.copy("a", tmp_path / "copy", {"SSH_TTY": "/dev/pts/1", "DISPLAY": ":0"})
        assert base64.b64encode(b"a").decode() in done.sequence
        assert done.sentence.startswith("sent to the terminal")

    def test_a_program_that_fails_is_not_believed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(clipboard.shutil, "which", lambda name: "/bin/false")
        monkeypatch.setattr(clipboard, "LOCAL_TOOLS", (("pbcopy", ("/bin/false",), None),))
        done = clipboard.copy("a", tmp_path / "copy", {})
        assert done.sentence.startswith("sent to the terminal")

    def test_a_program_that_works_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr(clipboard.shutil, "which", lambda name: "/bin/cat")
        monkeypatch.setattr(clipboard, "LOCAL_TOOLS", (("pbcopy", ("/bin/cat",), None),))
        done = clipboard.copy("a", tmp_path / "copy", {})
        assert done == (f"copied with pbcopy; kept in {tmp_path / 'copy'}", "")
        assert (tmp_path / "copy").read_text() == "a"

    def test_what_is_too_long_for_a_terminal_is_kept_and_said(self, tmp_path):
        done = clipboard.copy("a" * 100_000, tmp_path / "copy", {"SSH_TTY": "x"})
        assert done.sequence == ""
        assert done.sentence.startswith("too long")
