"""Cells of an ablation: one choice of every parameter that varies, and its figures."""

from typing import Any, NamedTuple

import pandas as pd

from audits.checks._shared.fill import NULL, Cut, recognition_scores
from audits.evidence.estimate import Estimate
from fillblanks.fills.threshold import Normalise


def _recognised(column: str, words: str) -> dict[str, str]:
    return {
        column: words,
        f"{column}_lift": f"{words}: better than {NULL.title} by",
        f"{column}_null": f"{words}: {NULL.title}",
    }


Row = dict[str, Any]
"""The parameters of a cell, and what was found there."""


COLUMN_WORDS = {
    "mask_ratio": "share of blanks",
    "patch_size": "side of a blank in pixels",
    "normalise": "scaling of values",
    "binarise": "white above",
    "coverage": "share of images that count",
    "images": "n",
    **_recognised("accuracy", "own drawing recognised"),
    **_recognised("reference_accuracy", "own drawing recognised by the reference"),
}
"""Words for the columns of the table of cells."""


class Variant(NamedTuple):
    """One way to make T of an update (Eq. 4)."""

    normalise: Normalise
    binarise: Cut

    def __str__(self) -> str:
        if self.binarise is None:
            return f"{self.normalise}, values kept"
        return f"{self.normalise}, {'Otsu' if self.binarise == 'otsu' else f'> {self.binarise}'}"


def cell_estimates(table: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """Estimates of one cell by name; those of the reference too, if the table has its columns."""
    found = recognition_scores(table, column)
    estimates = {**found.scores, "accuracy_null": found.null, "accuracy_lift": found.lift}
    if f"{column}_reference" in table:
        of_reference = cell_estimates(table, f"{column}_reference")
        estimates |= {f"reference_{name}": estimate for name, estimate in of_reference.items()}
    return estimates


def least_of(rows: list[Row], figure: str) -> Estimate:
    estimates: list[Estimate] = [row["estimates"][figure] for row in rows]
    return min(estimates, key=lambda estimate: estimate.value)


def rows_of(rows: list[Row], chosen: Row) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in chosen.items())]


def cell_told(row: Row) -> str:
    variant = Variant(row["normalise"], row["binarise"])
    return (
        f"mask ratio {row['mask_ratio']:g}, patch size {row['patch_size']}, "
        f"{row['update'].replace('_', ' ')}, {variant}"
    )


def table_of_cells(rows: list[Row]) -> pd.DataFrame:
    """A row for each cell and T, with all estimates and the interval of the accuracy."""
    flat = []
    for row in rows:
        estimates = row["estimates"]
        axes = {name: value for name, value in row.items() if name != "estimates"}
        bounds = {"low": estimates["accuracy"].low, "high": estimates["accuracy"].high}
        values = {name: estimate.value for name, estimate in estimates.items()}
        lift = estimates["accuracy_lift"]
        values |= {"accuracy_lift_low": lift.low, "accuracy_lift_high": lift.high}
        axes["binarise"] = "none" if axes["binarise"] is None else str(axes["binarise"])
        first = {"accuracy": values["accuracy"], **bounds}
        flat.append({**axes, **first, **values, "images": estimates["accuracy"].n})
    return pd.DataFrame(flat)
