"""Words on pictures: fonts of many scripts, names cut to a width, cells that hold words."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from audits.checks._shared.fonts import dejavu, drawn_name, font_for
from audits.checks._shared.images import MISSING, slugs
from audits.errors import one_line

LABEL = 16  # pixels; the least size of a label
INK, PALE, LINE = "#1a1a1a", "#555555", "#c8c8c8"
NUMBERED = "A class whose name no font of this machine can write is told by its number."


def length(words: str, size: int = LABEL) -> float:
    """The width of words in pixels."""
    return _font(words, size).getlength(words)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    words: str,
    size: int = LABEL,
    ink: str = INK,
) -> None:
    """Draws words with their upper left corner at a place (x, y)."""
    draw.text(place, words, fill=ink, font=_font(words, size))


def fitted(words: str, width: float, size: int = LABEL) -> str:
    """The words on one line, without their middle ("bla…k") if wider than `width` pixels.

    A character that no font has becomes a question mark.
    """
    words = one_line(words)
    most = max(int(width), 0)  # characters that may find room; a name may have thousands
    cut_first = f"{words[:most]}{words[-most:]}" if len(words) > 2 * most else words
    if font_for(cut_first) is None:
        words = "".join(c if font_for(c) else "?" for c in cut_first)
    if len(words) <= most and length(words, size) <= width:
        return words
    gap = "…" if font_for(f"{words}…") else "..."
    for kept in range(min(len(words) - 1, most), 0, -1):
        cut = f"{words[: kept - kept // 2]}{gap}{words[len(words) - kept // 2 :]}"
        if length(cut, size) <= width:
            return cut
    return gap


def drawn_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of classes for pictures, with a number for each that no font can write."""
    return tuple(drawn_name(label, classes) for label in range(len(classes)))


def drawn_titles(classes: Sequence[str]) -> dict[str, str]:
    """The names of classes for pictures by the titles of their sliders."""
    return dict(zip(slugs(classes), drawn_names(classes), strict=True))


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
        left = (side - length(line, size)) / 2
        write(draw, (left, top + number * size * 1.3), line, size)
    return cell


def _font(words: str, size: int) -> ImageFont.FreeTypeFont:
    return _opened((font_for(words) or dejavu()).file, size)


@cache
def _opened(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)
