"""Runs as SVG and PNG, drawn without an app on screen."""

import struct
import subprocess
import sys
import zlib
from xml.etree import ElementTree

from mlxterp_engine.experiments import RunFailed
from mlxterp_tui.exports.formats import written
from mlxterp_tui.exports.picture import Size, keeping_spaces, svg
from mlxterp_tui.exports.raster import png

import made
import pytest

SPACE = "{http://www.w3.org/XML/1998/namespace}space"
DRAWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20">'
    '<text y="16" font-family="{}">{}</text></svg>'
)


def texts(drawing: str) -> str:
    """What stands in it; spaces are drawn as no-break ones."""
    root = ElementTree.fromstring(drawing)
    assert root.attrib[SPACE] == "preserve"
    return " ".join(root.itertext()).replace("\u00a0", " ")


def pixels(picture: bytes) -> tuple[int, int, set[bytes]]:
    """(width, height, the bytes of the rows once unpacked): enough to see that it is not empty."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    start = picture.index(b"IDAT")
    size = struct.unpack(">I", picture[start - 4 : start])[0]
    data = zlib.decompressobj().decompress(picture[start + 4 : start + 4 + size])
    return width, height, {data[at : at + 1] for at in range(len(data))}


def test_a_lens_is_drawn_as_its_pane(stored):
    drawing = svg(stored, Size(120, 40))
    seen = texts(drawing)
    assert "·Paris" in seen
    assert "rank of ' Paris'" in seen
    assert "last row = logits" in seen
    assert "Run 42, logit-lens" in seen
    assert svg(stored, Size(120, 40)) == drawing


def test_a_run_without_a_pane_is_drawn_as_its_figure():
    found = made.result({"name": "trace"}, {"embed": [[1.0, 2.0]]}, ["a"], headline="\x1b<b>")
    seen = texts(svg(made.stored(found, id=7), Size(60, 10)))
    assert "array" in seen
    assert "embed  1×2" in seen
    assert "\\x1b<b>" in seen


def test_a_png_is_twice_as_large_as_its_svg():
    found = made.stored(made.result({"name": "trace"}, {"embed": [[1.0]]}, ["a"]))
    root = ElementTree.fromstring(svg(found, Size(60, 10)))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    found_width, found_height, shades = pixels(written("png", found, Size(60, 10)))
    assert (found_width, found_height) == (
        pytest.approx(2 * width, abs=2),
        pytest.approx(2 * height, abs=2),
    )
    assert len(shades) > 20


WITHOUT_FONTS = """
import sys, resvg_py
from mlxterp_tui.exports.raster import png

real = resvg_py.svg_to_bytes
resvg_py.svg_to_bytes = lambda **given: real(**given, skip_system_fonts=True)
drawn = [png(drawing.encode()) for drawing in sys.argv[1:]]
print([picture in drawn[:2] for picture in drawn])
"""


def test_a_machine_without_fonts_draws_letters_and_signs_all_the_same():
    """Nothing, and a character that no font has, are what the others must differ from."""
    drawings = [DRAWN.format("Fira Code", text) for text in ("", "\U0010fffd", *"A█▸─⣿жΩ⏎␣")]
    code = [sys.executable, "-c", WITHOUT_FONTS, *drawings]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([True, True] + [False] * 9)


def test_spaces_at_the_beginning_of_a_text_are_kept_by_every_program():
    assert keeping_spaces("<svg a><svg b>") == '<svg xml:space="preserve" a><svg b>'


def test_what_is_no_drawing_is_refused():
    with pytest.raises(RunFailed, match="could not be drawn"):
        png(b"nothing")
