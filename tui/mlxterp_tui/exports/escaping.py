"""Texts of models and people inside formats that give some characters a meaning."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")
# What makes a list or an underlined heading of a line that it begins.
_OPENER = re.compile(r"^(\s*\d*)([-+=.)])")


def escaped(text: str) -> str:
    r"""On one line, and nothing that moves a terminal's cursor: `\n`, `\t`, `\x1b`, `\u202e`.

    As in a Python string; a backslash is doubled, so that it can be read back.
    """
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def quoted(text: str) -> str:
    r"""`' Paris'`: escaped, and the spaces at its ends are seen."""
    return f"'{escaped(text)}'"


def lines(text: str) -> list[str]:
    """A text of several lines, each escaped."""
    return [escaped(line) for line in text.split("\n")]


def prose(text: str) -> str:
    """A line of Markdown that reads as the text does, whatever signs are in it."""
    legible = escaped(text).replace("\\\\", "\\")
    return _OPENER.sub(r"\1\\\2", _MARKS.sub(r"\\\1", legible))


def fenced(block: str, language: str = "") -> str:
    """A code block whose fence is longer than any row of backticks in it."""
    longest = max(map(len, re.findall("`+", block)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{block}\n{fence}"
