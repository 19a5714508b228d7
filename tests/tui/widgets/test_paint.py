"""Colours arrive on the terminal as the colour map meant them."""

from __future__ import annotations

from mlxterp_themes import Ramp, load_themes
from mlxterp_tui.widgets.paint import bar, micro_bar, ramp_styles, step_of, textual_theme

import pytest
from rich.color import ColorSystem
from textual.theme import Theme

LIBRARY = load_themes()
RAMPS = [pytest.param(r, id=f"{r.name}-{r.dark}") for r in LIBRARY.ramps.values()]


@pytest.mark.parametrize("ramp", RAMPS)
def test_256_colours_are_the_hand_picked_ones(ramp: Ramp):
    sent = [
        style.text.bgcolor.downgrade(ColorSystem.EIGHT_BIT).number
        for style in ramp_styles(ramp, "256")
    ]
    assert sent == list(ramp.xterm)


@pytest.mark.parametrize("ramp", RAMPS)
def test_16_colours_are_the_hand_picked_ones(ramp: Ramp):
    sent = [
        style.text.bgcolor.downgrade(ColorSystem.STANDARD).number
        for style in ramp_styles(ramp, "16")
    ]
    assert sent == list(ramp.ansi)


@pytest.mark.parametrize("ramp", RAMPS)
def test_in_256_colours_the_bar_never_drowns_in_its_ground(ramp: Ramp):
    for style in ramp_styles(ramp, "256"):
        ground = style.bar.bgcolor.downgrade(ColorSystem.EIGHT_BIT).number
        assert style.bar.color.downgrade(ColorSystem.EIGHT_BIT).number != ground


def test_without_colours_there_is_one_plain_style():
    (style,) = ramp_styles(LIBRARY.ramp("inferno", True), "none")
    assert not style.text
    assert not style.bar


@pytest.mark.parametrize(("level", "step"), [(0, 0), (0.5, 2), (1, 4), (-1, 0), (9, 4)])
def test_levels_fall_on_the_nearest_step(level, step):
    assert step_of(level, 5) == step


@pytest.mark.parametrize(("level", "glyph"), [(0, "▁"), (0.13, "▂"), (0.99, "█"), (1, "█")])
def test_a_micro_bar_has_eight_heights(level, glyph):
    assert micro_bar(level) == glyph


@pytest.mark.parametrize(
    ("part", "drawn"), [(0, "    "), (0.5, "██  "), (1 / 32, "▏   "), (1, "████"), (3, "████")]
)
def test_a_bar_counts_in_eighths_of_a_column(part, drawn):
    assert bar(part, 4) == drawn


def test_a_bar_without_blocks_counts_in_columns():
    assert bar(0.6, 5, blocks=False) == "###  "


@pytest.mark.parametrize("name", LIBRARY.themes)
@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
def test_every_theme_becomes_one_of_textuals(name, depth):
    theme = textual_theme(LIBRARY.theme(name), depth)
    assert isinstance(theme, Theme)
    assert theme.to_color_system().generate()["primary"]


def test_16_colours_take_the_overrides_of_the_theme():
    light = LIBRARY.theme("light")
    assert textual_theme(light, "16").primary == light.sixteen["primary"]
    assert textual_theme(light, "256").primary == light.colours["primary"]
