"""Confusion matrices of real images and of drawings, as shaded cells."""

import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audits.evidence.evidence import Evidence
from audits.report.recognition import Recognition, of_drawings, of_real_images
from audits.report.text import middle

_MOST_NUMBERED, _MOST_DRAWN = 20, 60  # classes with a number in each cell, and with cells
_MOST_MISTAKES = 10
_LABEL = 24  # characters
_SIDE, _LEAST_SIDE = 300, 15  # pixels of a matrix, if its cells are not smaller than the second
_FONT, _LETTER = 11, 6.9  # pixels of names and numbers, and about the width of a letter
_ABOVE = 4  # pixels


class Name(NamedTuple):
    """The name of a class beside a matrix."""

    short: str
    whole: str


class Cell(NamedTuple):
    """One cell: its place, its shade from 0 to 1, and its words."""

    row: int
    column: int
    images: int
    shade: float
    told: str


class Matrix(NamedTuple):
    """True classes (rows) by the classes that the model names (columns)."""

    title: str
    metric: str
    names: tuple[Name, ...]  # of the columns
    rows: int
    side: float  # of a cell, in pixels
    above: int  # pixels above the cells
    left: float  # pixels for the longest name of a row
    below: float  # and for that of a column
    numbered: bool
    cells: tuple[Cell, ...]  # that are not zero; () if there are too many classes to draw
    mistakes: tuple[str, ...]  # the most frequent, in words
    mistakes_left: int  # kinds of mistakes that are not told
    told: str

    @property
    def width(self) -> int:
        """Pixels of the whole picture, in which names have 11."""
        return math.ceil(self.left + self.side * len(self.names) + 4)

    @property
    def height(self) -> int:
        """Pixels of the whole picture."""
        return math.ceil(_ABOVE + self.side * self.rows + self.below)


def matrices(evidence: Sequence[Evidence], classes: Sequence[str]) -> list[Matrix]:
    """One of the real images, if a check asked, and one of each check's drawings."""
    real = of_real_images(evidence)
    found = [*([real] if real else []), *of_drawings(evidence)]
    return [_matrix(one, classes) for one in found] if classes else []


def _matrix(one: Recognition, classes: Sequence[str]) -> Matrix:
    count = len(classes)
    table = one.confusion(count)
    rows = np.maximum(table.sum(axis=1, keepdims=True), 1)

    def told(row: int, column: int) -> str:
        read = f"read as {classes[column]}" if column < count else "none that counts"
        return f"{classes[row]}, {read}: {table[row, column]} of {table[row].sum()}"

    wrong = table.copy()
    wrong[np.arange(count), np.arange(count)] = 0
    order = [tuple(map(int, place)) for place in np.argwhere(wrong)]
    order.sort(key=lambda place: (-int(wrong[place]), place))
    drawn = np.argwhere(table).tolist() if count <= _MOST_DRAWN else []
    right = int(table.trace())
    names = _names(classes, last=bool(table[:, count].any()))
    numbered = count <= _MOST_NUMBERED
    least = _LETTER * len(str(table.max())) + 6 if numbered else _LEAST_SIDE
    return Matrix(
        title=one.title,
        metric=one.metric,
        names=names,
        rows=count,
        side=round(max(_SIDE / max(len(names), 4), _LEAST_SIDE, least), 2),
        above=_ABOVE,
        left=max(map(_room, names[:count])),
        below=max(map(_room, names)),
        numbered=numbered,
        cells=tuple(
            Cell(r, c, int(table[r, c]), round(float(table[r, c] / rows[r, 0]), 3), told(r, c))
            for r, c in drawn
        ),
        mistakes=tuple(told(*place) for place in order[:_MOST_MISTAKES]),
        mistakes_left=max(len(order) - _MOST_MISTAKES, 0),
        told=f"{right} of {int(table.sum())} right",
    )


def _names(classes: Sequence[str], *, last: bool) -> tuple[Name, ...]:
    names = tuple(Name(middle(name, _LABEL), name) for name in classes)
    return (*names, Name("none counts", "none that counts")) if last else names


def _room(name: Name) -> float:
    """The width of a name in pixels; letters of Chinese, Japanese and Korean are twice as wide."""
    letters = (unicodedata.east_asian_width(letter) in "WF" for letter in name.short)
    return round(8 + _LETTER * sum(1 + wide for wide in letters), 1)
