"""Confusion matrices of real images and of drawings, as shaded cells."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audits.evidence.evidence import Evidence
from audits.report.recognition import Recognition, of_drawings, of_real_images
from audits.report.text import middle

_MOST_NUMBERED, _MOST_DRAWN = 20, 60  # classes with a number in each cell, and with cells
_MOST_MISTAKES = 10
_LABEL = 10  # characters


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
    names: tuple[str, ...]  # of the columns
    rows: int
    left: int  # room for the longest name of a row, in letters
    below: int  # and for that of a column
    numbered: bool
    cells: tuple[Cell, ...]  # that are not zero; () if there are too many classes to draw
    mistakes: tuple[str, ...]  # the most frequent, in words
    mistakes_left: int  # kinds of mistakes that are not told
    told: str


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
    return Matrix(
        title=one.title,
        metric=one.metric,
        names=(names := _names(classes, last=bool(table[:, count].any()))),
        rows=count,
        left=max(map(_room, names[:count])),
        below=max(map(_room, names)),
        numbered=count <= _MOST_NUMBERED,
        cells=tuple(
            Cell(r, c, int(table[r, c]), round(float(table[r, c] / rows[r, 0]), 3), told(r, c))
            for r, c in drawn
        ),
        mistakes=tuple(told(*place) for place in order[:_MOST_MISTAKES]),
        mistakes_left=max(len(order) - _MOST_MISTAKES, 0),
        told=f"{right} of {int(table.sum())} right",
    )


def _names(classes: Sequence[str], *, last: bool) -> tuple[str, ...]:
    short = tuple(middle(name, _LABEL) for name in classes)
    return (*short, "none counts") if last else short


def _room(name: str) -> int:
    """The width of a name; letters of Chinese, Japanese and Korean are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)
