"""Writes figures as Markdown tables; measures nothing."""

import math
from dataclasses import replace

import numpy as np

from audits.evidence.estimate import Estimate
from completion.asked import MANY, ONE
from completion.figures import compared, metrics, null_of
from completion.measure import IMAGENET, Row

_MAIN = (
    "data", "model", "reference", "n", "forced choice", "gap, nats", "lift", "foil lift",
    "named: start", "named: fill", "named: whole", "own",
)  # fmt: skip
_ONE = ("data", "model", "reference", "n", "forced choice", "gap, nats", "named: fill")
_COMPARED = ("data", "model minus plain", "n", "gap, nats", "foil lift")


def main(rows: list[Row]) -> str:
    """A line for each pair of networks, with the fills of many steps."""
    return _lines(_MAIN, [_main(row) for row in rows if row.way == MANY])


def _main(row: Row) -> list[str]:
    found = metrics(row)
    named = place(row)
    accuracy = "" if math.isnan(row.accuracy) else f" (accuracy {share(row.accuracy)})"
    return [
        row.data,
        f"{row.model}{accuracy}",
        row.reference,
        str(len(row.table)),
        interval(found["forced_choice"].estimate),
        interval(found["gap"].estimate, 1),
        interval(found["lift"].estimate),
        interval(found["foil_lift"].estimate),
        share(null_of(found[named]).value),
        interval(found[named].estimate),
        share(found[f"{named}_whole"].estimate.value),
        share(found["own"].estimate.value),
    ]


def one_step(rows: list[Row]) -> str:
    """The trained networks with fills of one step."""
    return _lines(_ONE, [_short(row) for row in rows if row.way == ONE and row.informed])


def _short(row: Row) -> list[str]:
    found = metrics(row)
    return [
        row.data,
        row.model,
        row.reference,
        str(len(row.table)),
        interval(found["forced_choice"].estimate),
        interval(found["gap"].estimate, 1),
        interval(found[place(row)].estimate),
    ]


def against_plain(rows: list[Row]) -> str:
    """Networks minus the plainly trained one of their data, in pairs."""
    lines = [
        [
            one.row.data,
            one.row.model,
            str(len(one.row.table)),
            interval(one.gap, 1, sign=True),
            interval(one.foil_lift, sign=True),
        ]
        for one in compared(rows)
    ]
    return _lines(_COMPARED, lines)


def named_too(rows: list[Row], chosen: np.ndarray) -> str:
    """The pairs of ImageNet, over the photographs that are `chosen`, bool (n,)."""
    pairs = [row for row in rows if row.data == IMAGENET and row.way == MANY and row.informed]
    some = [replace(row, table=row.table[chosen]) for row in pairs]
    return _lines(_ONE, [_short(row) for row in some])


def place(row: Row) -> str:
    """The metric of recognition: in the first five of 1,000 classes, or the answer of few."""
    return "reference_top5" if row.data == IMAGENET else "reference_top1"


def interval(estimate: Estimate, decimals: int = 2, sign: bool = False) -> str:
    """A value and its 95 % interval, such as ".88 (.75 to .95)"."""
    value, low, high = (
        _number(one, decimals, sign) for one in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})"


def share(value: float) -> str:
    """A share without the 0 before its point, such as ".35"."""
    return _number(value, 2, False)


def _number(value: float, decimals: int, sign: bool) -> str:
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = f"{0:.{decimals}f}"
    return text.replace("0.", ".", 1) if decimals > 1 and abs(float(text)) < 1 else text


def _lines(head: tuple[str, ...], lines: list[list[str]]) -> str:
    written = [list(head), ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in written)
