"""Several lines of text, for a prompt. Imported when it is first wanted."""

from __future__ import annotations

from mlxterp_tui.widgets.own_keys import carry_out

from textual import events
from textual.widgets import TextArea


class PromptEditor(TextArea):
    """Keys typed in one burst are carried out in their order."""

    async def _on_key(self, event: events.Key) -> None:
        await carry_out(self, event)
