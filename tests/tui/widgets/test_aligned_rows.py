"""The two rows of tokens on screen: marks, scrolling, and as little repainting as may be."""

from __future__ import annotations

from mlxterp_engine.experiments.alignment import align
from mlxterp_themes import load_themes
from mlxterp_tui.panes.patch.aligned import AlignedRows
from mlxterp_tui.panes.patch.aligned_text import Aligned, Answered, under_noise
from mlxterp_tui.widgets.colour_depth import use_colour_system
from mlxterp_tui.widgets.paint import textual_theme

import pytest
from textual.app import App, ComposeResult

FRONT = ["When", " Mary", " and", " John", " went", " to", " the", " store", ","]
BACK = [" gave", " a", " drink", " to"]
CLEAN, CORRUPT = [*FRONT, " John", *BACK], [*FRONT, " Mary", *BACK]
LONGER = [*FRONT, " Mary", " Ann", *BACK]
ANSWERS = (Answered("answer", " Mary", "LD 6.11"), Answered("wrong", " John", "LD −5.49"))
PAIR = Aligned(align(CLEAN, CORRUPT), (9, 10), ANSWERS)
NEEDLE = ["The", " Space", " Need", "le", " is", " in", " downtown"]


def rows(aligned: Aligned = PAIR):
    return lambda widget: widget.show(aligned)


async def lines(alone, aligned: Aligned, width: int, **options) -> list[str]:
    widget = AlignedRows(**options)
    app = alone(widget, rows(aligned))
    app.CSS = ""
    async with app.run_test(size=(width, 12)):
        return [line for line in app.lines() if line]


async def test_tokens_stand_under_one_another_with_marks_and_answers(alone):
    assert await lines(alone, PAIR, 120) == [
        " clean   When│·Mary│·and│·John│·went│·to│·the│·store│,│·John│·gave│·a│·drink│·to"
        "   answer ' Mary' LD 6.11",
        " corrupt When│·Mary│·and│·John│·went│·to│·the│·store│,│·Mary│·gave│·a│·drink│·to"
        "   wrong  ' John' LD −5.49",
        "                                                       └─▲─┘   ▲ differs · └┘ subject 9",
    ]


async def test_on_a_small_screen_what_differs_is_in_view(alone):
    found = await lines(alone, PAIR, 60)
    assert found[:2] == [
        " clean   ‹·to│·the│·store│,│·John│·gave│›   ' Mary' LD 6.11",
        " corrupt ‹·to│·the│·store│,│·Mary│·gave│›   ' John' LD −5.49",
    ]
    assert found[0].index("·John") == found[2].index("└")


async def test_unequal_prompts_are_refused_in_words_under_them(alone):
    found = await lines(alone, Aligned(align(CLEAN, LONGER), (9, 10)), 120)
    assert "╌╌╌╌╌│·John│·gave" in found[0]
    assert "·Mary│·Ann │·gave" in found[1]
    assert found[2].count("▲") == 3  # two of them marks, one the key
    words = " ".join(line.strip() for line in found[3:])
    assert words.startswith("14 and 15 tokens: ' John' (1 token) became ' Mary Ann' (2)")
    assert words.endswith("O pads with a token.")


async def test_causal_tracing_has_its_noise_in_the_second_row(alone):
    found = await lines(alone, under_noise(NEEDLE, (1, 4), "3σ noise, 10 draws"), 80)
    assert found == [
        " prompt  The│·Space│·Need│le│·is│·in│·downtown",
        " corrupt The│≈≈≈≈≈≈│≈≈≈≈≈│≈≈│·is│·in│·downtown",
        "             └─────────────┘   ≈ 3σ noise, 10 draws · └┘ subject 1 to 3",
    ]


async def test_without_box_characters_it_says_the_same(alone):
    found = await lines(alone, Aligned(align(CLEAN, CORRUPT), (9, 10)), 100, ascii_marks=True)
    assert found[0].endswith("|,|·John|·gave|·a|·drink|·to")
    assert found[2].strip() == "\\_^_/   ^ differs · \\/ subject 9"


async def test_where_there_are_no_tokens_a_sentence_takes_their_place(alone):
    said = "A set is asked: pairs of ioi."
    assert await lines(alone, Aligned(align((), ()), says=said), 80) == [f" {said}"]


async def test_a_subject_of_one_letter_is_marked_too(alone):
    found = await lines(alone, Aligned(align(["a", " b"], ["a", " c"]), (0, 1)), 80)
    assert found[2] == "         ┴ ▲   ▲ differs · └┘ subject 0"


async def test_before_anything_is_read_it_says_what_comes(alone):
    assert await lines(alone, Aligned(align((), ())), 80) == [
        " the prompts' tokens will stand here"
    ]


async def test_it_is_as_high_as_it_has_lines(alone):
    widget = AlignedRows()
    app = alone(widget, rows())
    app.CSS = ""
    async with app.run_test(size=(80, 20)) as pilot:
        assert widget.size.height == 3
        widget.show(Aligned(align(CLEAN, LONGER)))
        await pilot.pause()
        assert widget.size.height == 6
        widget.show(PAIR)
        await pilot.pause()
        assert widget.size.height == 3


async def test_the_pointed_token_is_scrolled_to_and_stands_out(alone):
    widget = AlignedRows()
    app = alone(widget, rows())
    async with app.run_test(size=(60, 6)) as pilot:
        widget.point_at(0)
        await pilot.pause()
        assert app.lines()[0].startswith(" clean   When│·Mary")
        widget.point_at(13)
        await pilot.pause()
        assert "·drink│·to   ' Mary'" in app.lines()[0]
        assert [s.text for s in widget.render_line(0) if s.style and s.style.reverse] == ["·to"]
        assert [s.text for s in widget.render_line(1) if s.style and s.style.reverse] == ["·to"]


async def test_only_the_two_tokens_concerned_are_painted_again(alone, monkeypatch):
    widget = AlignedRows()
    async with alone(widget, rows()).run_test(size=(120, 6)) as pilot:
        widget.point_at(2)
        await pilot.pause()
        painted = []
        monkeypatch.setattr(widget, "refresh", lambda *regions, **_: painted.extend(regions))
        widget.point_at(3)
        assert [(region.width, region.height) for region in painted] == [(4, 2), (5, 2)]
        painted.clear()
        widget.point_at(3)
        widget.show(PAIR)
        assert painted == []


@pytest.mark.parametrize("token", ["\n", "\x1b[31m", "\u202e", " 한국어", "🦆"])
async def test_strange_tokens_keep_the_rows_aligned(alone, token):
    clean, corrupt = ["a", token, "c", "d"], ["a", " b", "c", "d"]
    found = await lines(alone, Aligned(align(clean, corrupt)), 80)
    from rich.cells import cell_len

    at = [cell_len(line[: line.rindex("│")]) for line in found[:2]]
    assert at[0] == at[1]
    assert "\x1b" not in found[0]


class Gallery(App[None]):
    """What patching looks like before it is run: each thing that can be the matter once."""

    CSS = "AlignedRows { margin-bottom: 1; }"
    SHOWN = (
        PAIR,
        Aligned(align(CLEAN, LONGER), (9, 10), (Answered("answer", " Mary"),)),
        Aligned(align(CLEAN, ()), (9, 10), (Answered("answer", " Mary"), Answered("wrong", None))),
        Aligned(
            align(CLEAN, CORRUPT),
            (9, 10),
            (Answered("answer", " Mary"), Answered("wrong", " Jo boy", fault="wrong is 2 tokens.")),
        ),
        under_noise(NEEDLE, (1, 4), "3σ noise, 10 draws"),
    )

    def __init__(self, theme: str, depth) -> None:
        super().__init__()
        use_colour_system(self, depth)
        self.register_theme(textual_theme(load_themes().theme(theme), depth))
        self.theme = theme

    def compose(self) -> ComposeResult:
        for _ in self.SHOWN:
            yield AlignedRows(ascii_marks=False)

    def on_mount(self) -> None:
        for widget, aligned in zip(self.query(AlignedRows), self.SHOWN, strict=True):
            widget.show(aligned)
        self.query(AlignedRows).first().point_at(5)


@pytest.mark.parametrize(
    ("theme", "depth", "size"),
    [
        ("dark", "truecolor", "80x30"),
        ("dark", "truecolor", "120x30"),
        ("light", "truecolor", "120x30"),
        ("dark", "truecolor", "200x30"),
        ("dark", "none", "80x30"),
        ("light", "16", "80x30"),
    ],
)
def test_aligned_prompts_look_as_they_did(snap_compare, theme, depth, size):
    assert snap_compare(Gallery(theme, depth), terminal_size=tuple(map(int, size.split("x"))))
