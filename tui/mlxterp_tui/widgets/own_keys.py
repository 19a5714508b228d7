"""A field's editing keys, in the order in which they were typed.

Textual hands a letter to the field at once and lets a key with a binding climb to the screen
first: in a burst, as over a slow line, a letter behind a backspace would come before it.
"""

from __future__ import annotations

from textual import events
from textual.widget import Widget


async def carry_out(field: Widget, event: events.Key) -> None:
    """Run the field's own binding of the key now; nothing where it has none."""
    for binding in field._bindings.key_to_bindings.get(event.key, ()):
        if await field.app.run_action(binding.action, field):
            event.stop()
            event.prevent_default()
            return
