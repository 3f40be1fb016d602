"""A check's own tables in words: a value and its interval in one cell, lifts before all else."""

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import pandas as pd

_POINTS = ("lift", "gain", "gap")  # differences of shares, told in points
_TO = "\u00a0to\u00a0"  # an interval stays on one line, also on a phone
_BESIDE_LIFTS = ("accuracy", "images", "coverage")  # shown in a table that has lifts


class Head(NamedTuple):
    """The head of a column: words, and its name in the file, in small print."""

    told: str
    column: str = ""


class Shown(NamedTuple):
    """A table as text; `left_out` are columns that only the file in MLflow has."""

    name: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...]


def in_words(name: str, table: pd.DataFrame, words: Mapping[str, str] | None = None) -> Shown:
    """The table with its intervals beside their values.

    A table of cells with lifts over a null shows these first, with the number of images: many
    shares without their nulls would only mislead. `words` are a check's own for its columns.
    """
    columns = [str(column) for column in table.columns]
    bounds = {end for column in columns for end in _ends(column, columns)}
    shown = [column for column in columns if column not in bounds]
    left_out: list[str] = []
    if any(column.endswith("_lift") for column in shown):
        measured = [c for c in shown if pd.api.types.is_float_dtype(table[c])]
        axes = [c for c in shown if c not in measured and c != "images"]
        if "mask_ratio" in measured:
            axes, measured = ["mask_ratio", *axes], [c for c in measured if c != "mask_ratio"]
        lifts = [c for c in measured if c.endswith("_lift")]
        beside = [c for c in _BESIDE_LIFTS if c in shown]
        nulls = [c for c in measured if c.endswith("_null")]
        left_out = [c for c in measured if c not in (*lifts, *beside, *nulls)]
        shown = [*axes, *lifts, *beside, *nulls]
    renamed = table.set_axis(columns, axis=1)
    rows = [
        tuple(_cell(row, column, columns) for column in shown)
        for row in renamed.to_dict(orient="records")
    ]
    return Shown(name, tuple(_head(c, words or {}) for c in shown), tuple(rows), tuple(left_out))


def _ends(column: str, columns: list[str]) -> tuple[str, ...]:
    """The columns with the interval of a column."""
    for low, high in ((f"{column}_low", f"{column}_high"), ("low", "high")):
        # Plain `low` and `high` are those of the accuracy.
        if low in columns and high in columns and (low != "low" or column == "accuracy"):
            return low, high
    return ()


def _cell(row: dict[Hashable, Any], column: str, columns: list[str]) -> str:
    value = row[column]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    if column == "mask_ratio":
        return f"{value:g}"
    points = column.endswith(_POINTS)
    told = _number(value, points)
    ends = [row[end] for end in _ends(column, columns)]
    if ends and not any(math.isnan(end) for end in ends):
        told += f" ({_TO.join(_number(end, points) for end in ends)})"
    return f"{told} points" if points else told


def _number(value: float, points: bool) -> str:
    if points:
        told = f"{100 * value:+.1f}".removesuffix(".0")
        return "0" if told in ("+0", "-0") else told
    return f"{value:.3f}"


def _head(column: str, words: Mapping[str, str]) -> Head:
    if column in words:
        return Head(words[column], column)
    if column.endswith("_lift"):
        return Head(f"{column.removesuffix('_lift')}: better than the null by")
    return Head(column.replace("_", " "))
