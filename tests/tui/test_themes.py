"""Themes and colour maps: complete, readable, rising, and never in the way of starting."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from mlxterp_themes import DEFAULT_THEME, RGB, Library, Ramp, contrast, load_themes, luminance
from mlxterp_themes.colour import parse_hex, xterm_rgb
from mlxterp_themes.ramp import worst_contrast_16
from mlxterp_themes.theme import COLOUR_NAMES

import pytest

DEPTHS = ("truecolor", "256", "16")
READABLE = 4.5

LIBRARY = load_themes()
RAMPS = [
    pytest.param(r, id=f"{r.name}-{'dark' if r.dark else 'light'}") for r in LIBRARY.ramps.values()
]
SEQUENTIAL = [p for p in RAMPS if p.values[0].kind == "sequential"]
DIVERGING = [p for p in RAMPS if p.values[0].kind == "diverging"]
THEMES = list(LIBRARY.themes.values())


def lightness(ramp: Ramp, depth: str) -> list[float]:
    return [luminance(background.rgb) for background, _ in ramp.steps(depth)]


def strictly_rising(numbers: list[float]) -> bool:
    return all(low < high for low, high in pairwise(numbers))


def test_our_own_files_all_load():
    assert LIBRARY.troubles == []
    assert set(LIBRARY.themes) >= {DEFAULT_THEME, "light", "safe-dark", "safe-light"}
    assert set(LIBRARY.ramp_names()) >= {"inferno", "grey", "blues", "cividis"}
    assert LIBRARY.ramp_names("diverging") == ["blue-orange", "blue-red"]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("ramp", SEQUENTIAL)
def test_more_is_lighter_on_dark_and_darker_on_light(ramp, depth):
    steps = lightness(ramp, depth)
    assert strictly_rising(steps if ramp.dark else steps[::-1])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("ramp", DIVERGING)
def test_a_diverging_map_has_its_turn_in_the_middle(ramp, depth):
    steps = lightness(ramp, depth)
    middle = len(steps) // 2
    assert len(steps) % 2 == 1
    falling, rising = steps[: middle + 1][::-1], steps[middle:]
    if ramp.dark:
        assert strictly_rising(falling)
        assert strictly_rising(rising)
    else:
        assert strictly_rising(falling[::-1])
        assert strictly_rising(rising[::-1])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("ramp", RAMPS)
def test_text_is_readable_on_every_step(ramp, depth):
    for background, text in ramp.steps(depth):
        assert contrast(background.rgb, text.rgb) >= READABLE


@pytest.mark.parametrize("ramp", RAMPS)
def test_in_16_colours_text_is_readable_in_xterms_palette_too(ramp):
    for background, text in ramp.steps("16"):
        assert worst_contrast_16(text.number, background.number) >= READABLE


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_levels_run_from_the_first_step_to_the_last(ramp, depth):
    steps = ramp.steps(depth)
    assert ramp.style(0.0, depth) == steps[0]
    assert ramp.style(1.0, depth) == steps[-1]
    assert ramp.style(-5.0, depth) == steps[0]
    assert ramp.style(5.0, depth) == steps[-1]
    assert ramp.style(0.5, "truecolor") == ramp.steps("truecolor")[16]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_a_theme_names_all_colours_and_maps_that_exist(theme):
    assert set(theme.colours) == set(COLOUR_NAMES)
    assert LIBRARY.ramp(theme.ramp, theme.dark).kind == "sequential"
    assert LIBRARY.ramp(theme.diverging, theme.dark).kind == "diverging"


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_colour_of_a_theme_can_be_read_as_text(theme, depth):
    colours = theme.colours_at(depth)
    floor = READABLE if depth != "16" else 2.5  # 16 colours leave no darker green or yellow
    for name in ("foreground", "primary", "secondary", "accent", "success", "warning", "error"):
        for ground in ("background", "surface", "panel"):
            ratio = contrast(parse_hex(colours[name]), parse_hex(colours[ground]))
            assert ratio >= floor, f"{name} on {ground}: {ratio:.1f}"


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("#123456", "#123456", 1.0)],
)
def test_contrast_is_that_of_wcag(one, other, ratio):
    assert contrast(parse_hex(one), parse_hex(other)) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(
    ("number", "colour"),
    [(16, RGB(0, 0, 0)), (52, RGB(95, 0, 0)), (231, RGB(255, 255, 255)), (255, RGB(238, 238, 238))],
)
def test_the_256_colours_are_xterms(number, colour):
    assert xterm_rgb(number) == colour


class TestUserFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "themes").mkdir()
        (tmp_path / "ramps").mkdir()
        return tmp_path

    def own(self, kind: str, name: str) -> str:
        import mlxterp_themes

        return (Path(mlxterp_themes.__file__).parent / "data" / kind / f"{name}.toml").read_text()

    def load(self, folder: Path, path: str, text: str) -> Library:
        (folder / path).write_text(text)
        return load_themes(folder)

    def test_a_theme_of_the_users_loads_like_ours(self, folder):
        text = self.own("themes", "dark").replace('name = "dark"', 'name = "mine"')
        library = self.load(folder, "themes/mine.toml", text)
        assert library.troubles == []
        assert library.theme("mine").dark

    def test_one_with_a_name_of_ours_takes_its_place(self, folder):
        text = self.own("themes", "dark").replace("#6cb6ff", "#ff00ff")
        assert (
            self.load(folder, "themes/x.toml", text).theme("dark").colours["primary"] == "#ff00ff"
        )

    def test_a_theme_may_use_a_ramp_of_the_users(self, folder):
        ramp = self.own("ramps", "grey").replace('name = "grey"', 'name = "ash"')
        (folder / "ramps" / "ash.toml").write_text(ramp)
        text = self.own("themes", "dark").replace('ramp = "inferno"', 'ramp = "ash"')
        assert self.load(folder, "themes/dark.toml", text).theme("dark").ramp == "ash"

    @pytest.mark.parametrize(
        ("path", "kind", "old", "new", "says"),
        [
            ("themes/a.toml", "dark", 'name = "dark"', "", "it has no 'name'"),
            ("themes/a.toml", "dark", '"#6cb6ff"', '"blue"', "'blue' is no colour; write"),
            ("themes/a.toml", "dark", "warning = ", "warnign = ", "colours.warnign is no colour"),
            ("themes/a.toml", "dark", 'accent = "#f0a45d"', "", "colours has no 'accent'"),
            ("themes/a.toml", "dark", "title", "titel", "unknown key 'titel'; keys: name"),
            ("themes/a.toml", "dark", '"inferno"', '"lava"', "ramp 'lava' does not exist"),
            ("themes/a.toml", "dark", "[colours]", "[colours", "was left out"),
            ("themes/a.toml", "dark", "dark = true", 'dark = "yes"', "dark must be true or false"),
            ("ramps/a.toml", "grey", 'name = "grey"', "", "it has no name"),
            ("ramps/a.toml", "grey", '"sequential"', '"round"', "kind is 'round'; give one of"),
            ("ramps/a.toml", "grey", "[light]", "[lite]", "unknown key 'lite'"),
            ("ramps/a.toml", "grey", "233", "7", "dark.xterm has 7; give numbers from 16 to 255"),
            ("ramps/a.toml", "grey", "ansi = [0, 7, 15]", "ansi = [0]", "at least two"),
        ],
    )
    def test_a_bad_file_is_left_out_with_one_sentence(self, folder, path, kind, old, new, says):
        text = self.own(path.partition("/")[0], kind)
        assert old in text
        library = self.load(folder, path, text.replace(old, new, 1))
        (trouble,) = library.troubles
        assert trouble.startswith(f"{folder / path} was left out: ")
        assert says in trouble
        assert "\n" not in trouble
        assert library.theme("dark") == LIBRARY.theme("dark")

    def test_a_file_that_is_no_text_is_left_out(self, folder):
        (folder / "themes" / "a.toml").write_bytes(b"\xff\xfe\x00")
        (trouble,) = load_themes(folder).troubles
        assert "a.toml was left out" in trouble

    def test_a_folder_that_is_not_there_is_no_trouble(self, tmp_path):
        assert load_themes(tmp_path / "nowhere").troubles == []


def test_the_package_needs_nothing_but_the_standard_library():
    code = (
        "import sys; before = set(sys.modules);"
        "import mlxterp_themes; mlxterp_themes.load_themes();"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before};"
        "print(*new - sys.stdlib_module_names)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["mlxterp_themes"]
