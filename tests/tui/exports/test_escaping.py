"""Any text stays what it is: on one line, in Markdown, in a code block."""

import codecs
import re

from mlxterp_tui.exports.escaping import escaped, fenced, prose, quotation

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

SIGNS = st.sampled_from("`|\\*_#>-+=.1)[]<&~$! \n\t\x1b\u202e")
HOSTILE = st.text(st.one_of(SIGNS, st.characters()))
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def unescaped(text: str) -> str:
    form = re.compile(r"\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
    return form.sub(lambda found: codecs.decode(found[0], "unicode_escape"), text)


@given(HOSTILE)
def test_an_escaped_text_is_one_printable_line_and_can_be_read_back(text):
    assert escaped(text).isprintable() or not text
    assert unescaped(escaped(text)) == text


def test_what_would_act_on_a_terminal_is_seen():
    assert escaped(" a\n\tb\x1b[2J\u202e\u00a0\\") == r" a\n\tb\x1b[2J\u202e\xa0" + "\\\\"
    assert escaped("café 日本 ▸") == "café 日本 ▸"


def read(markdown: str) -> tuple[list[str], str]:
    """(kinds of the blocks, the text that a reader sees)."""
    tokens = READER.parse(markdown)
    inline = [child for token in tokens for child in token.children or []]
    return [t.type for t in tokens if t.nesting >= 0], "".join(c.content for c in inline)


@given(HOSTILE)
@example("a_b _c_ __d__")
@example("&amp; <b> ![x](y) [z]: q")
@example("*a* **b** `c` ~~d~~ <i> http://x.y <a@b.c>")
@example("12) # h #")
@example("| a | b |\n|---|---|")
def test_prose_is_a_paragraph_that_reads_as_the_text_does(text):
    blocks, seen = read(prose(text))
    assert blocks in (["paragraph_open", "inline"], [])
    assert seen == escaped(text.strip()).replace("\\\\", "\\")


@given(HOSTILE)
@example("#")
@example("a #")
def test_a_title_stays_a_title(text):
    blocks, seen = read(f"# {prose(text)}")
    assert blocks in (["heading_open", "inline"], ["heading_open"])
    assert seen == escaped(text.strip()).replace("\\\\", "\\")


@given(HOSTILE)
@example("a\n\n    b\n- c")
def test_a_quotation_holds_paragraphs_and_nothing_else(text):
    blocks, _ = read(quotation("Note", text) + "\n\n# after")
    assert set(blocks) == {"blockquote_open", "paragraph_open", "inline", "heading_open"}
    assert blocks[-2:] == ["heading_open", "inline"]


def test_names_with_underscores_stay_legible():
    assert prose("attention_rebuild holds") == "attention_rebuild holds"


@given(HOSTILE)
@example("```\n# out")
@example("````")
def test_nothing_breaks_out_of_a_code_block(text):
    block = "\n".join(escaped(line) for line in text.split("\n"))
    blocks, _ = read(fenced(block, "text") + "\n\n# after")
    assert blocks == ["fence", "heading_open", "inline"]
