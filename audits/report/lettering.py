"""Words on pictures: a font of many scripts, names cut to a width, cells that hold words."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from audits.checks._images import MISSING
from audits.errors import one_line

LABEL = 16  # pixels; the least size of a label
INK, PALE, LINE = "#1a1a1a", "#555555", "#c8c8c8"
_FILE = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def font(size: int = LABEL) -> ImageFont.FreeTypeFont:
    """The font of all pictures, in pixels."""
    return ImageFont.truetype(str(_FILE), size)


def has_glyphs(words: str) -> bool:
    """Whether the font can draw every character."""
    return all(ord(character) in _glyphs() for character in words)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(str(_FILE)).get_charmap())


def fitted(words: str, width: float, size: int = LABEL) -> str:
    """The words on one line, without their middle ("bla…k") if wider than `width` pixels."""
    words = one_line(words)
    most = max(int(width), 0)  # characters that may find room; a name may have thousands
    if len(words) <= most and font(size).getlength(words) <= width:
        return words
    for kept in range(min(len(words) - 1, most), 0, -1):
        cut = f"{words[: kept - kept // 2]}…{words[len(words) - kept // 2 :]}"
        if font(size).getlength(cut) <= width:
            return cut
    return "…"


def is_missing(image: np.ndarray) -> bool:
    """Whether the picture stands for nothing, since the model accepted no draw."""
    return bool((image == MISSING).all())


def missing_cell(side: int) -> Image.Image:
    """A hatched square with the words "no draw accepted"."""
    cell = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(cell)
    for at in range(-side, side, 9):
        draw.line((at, side, at + side, 0), fill="#d8d8d8")
    size = max(9, side // 6)
    lines = ("no draw", "accepted")
    top = side / 2 - size * 1.3
    for number, line in enumerate(lines):
        left = (side - font(size).getlength(line)) / 2
        draw.text((left, top + number * size * 1.3), line, fill=INK, font=font(size))
    return cell
