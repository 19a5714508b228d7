"""Texts of models and people inside formats that give some characters a meaning."""

from __future__ import annotations

import re

# A letter's neighbours decide whether _ is a mark, and what follows whether & begins an entity.
_MARKS = re.compile(r"[\\`*\[<|~$]|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])")
# What makes a heading, a quotation or a list of the line that it begins; # also ends a heading.
_BORDERS = re.compile(r"^\d*[-+=.)#>]|#$")


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
    legible = escaped(text.strip()).replace("\\\\", "\\")
    marked = _MARKS.sub(r"\\\g<0>", legible)
    return _BORDERS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", marked)


def quotation(name: str, text: str) -> str:
    """What a person wrote, under a name, with its lines and paragraphs."""
    paragraphs = [
        "\\\n".join(prose(line) for line in paragraph.split("\n"))
        for paragraph in re.split(r"\n\s*\n", text.strip())
    ]
    paragraphs[0] = f"**{name}:** {paragraphs[0]}"
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(paragraphs).split("\n"))


def fenced(block: str, language: str = "") -> str:
    """A code block whose fence is longer than any row of backticks in it."""
    longest = max(map(len, re.findall("`+", block)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{block}\n{fence}"
