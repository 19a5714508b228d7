"""Fields in which keys of one burst are carried out in the order in which they were typed."""

from mlxterp_tui.screens.line_input import LineInput
from mlxterp_tui.screens.prompt_editor import PromptEditor

import pytest
from textual import events
from textual.app import App, ComposeResult


class Fields(App):
    def compose(self) -> ComposeResult:
        yield LineInput("Italy", id="line", select_on_focus=False)
        yield PromptEditor("Italy", id="editor")


async def burst(app, pilot, *keys):
    """Keys as they come bundled over a slow line: all there before the first is looked at."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))
    await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (("backspace", "a"), "Itala"),
        (("a", "backspace", "b"), "Italyb"),
        (("home", "x", "end", "y"), "xItalyy"),
        (("left", "left", "delete", "i"), "Itaiy"),
    ],
)
@pytest.mark.parametrize("field", ["line", "editor"])
async def test_a_letter_does_not_overtake_the_editing_key_before_it(field, keys, text):
    app = Fields()
    async with app.run_test() as pilot:
        place = app.query_one(f"#{field}")
        place.focus()
        await pilot.press("end")
        await burst(app, pilot, *keys)
        assert (place.value if field == "line" else place.text) == text
