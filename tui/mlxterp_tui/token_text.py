"""Tokens in running text: quoted, so that the spaces at their ends are seen."""

from __future__ import annotations

from mlxterp_tui.widgets.token_text import legible


def quoted(token: str) -> str:
    """' Paris', with line breaks and unprintable characters as signs."""
    return f"'{' '.join(legible(piece) for piece in token.split(' '))}'"
