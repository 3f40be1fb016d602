"""Figures of rows, by the functions of the check `completion`."""

from dataclasses import dataclass

import pandas as pd

from audits.checks._completion.figures import measured, with_differences
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import mean, paired_mean_difference
from audits.evidence.metric import Metric
from completion.asked import MANY
from completion.measure import Row

PLAIN = "plain"
_CHANCE = 0.5
_PLACES = {
    "place": "place_completed",
    "place_start": "place_smooth",
    "place_whole": "place_photograph",
}


def metrics(row: Row) -> dict[str, Metric]:
    """The metrics of the check `completion`, over the images of a row.

    Chance is taken as known, so the lift of `forced_choice` is not that of the check.
    """
    by_chance = Estimate(_CHANCE, _CHANCE, _CHANCE, len(row.table))
    return measured(_table(row), by_chance)


def _table(row: Row) -> pd.DataFrame:
    return with_differences(row.table.rename(columns=_PLACES))


def null_of(metric: Metric) -> Estimate:
    """The estimate of a metric's null, which is measured."""
    assert metric.null is not None
    assert metric.null.estimate is not None
    return metric.null.estimate


@dataclass(frozen=True)
class Compared:
    """A network minus the plainly trained one, over the same images."""

    row: Row
    gap: Estimate
    foil_lift: Estimate


def compared(rows: list[Row]) -> list[Compared]:
    """Each row of many steps whose data have a plainly trained network, against that network."""
    many = [row for row in rows if row.way == MANY]
    plain = {row.data: row for row in many if row.model.endswith(PLAIN)}
    found = []
    for row in many:
        if row.data in plain and row is not plain[row.data]:
            own, other = _table(row), _table(plain[row.data])
            found.append(
                Compared(
                    row,
                    mean((own["gap"] - other["gap"]).to_numpy()),
                    paired_mean_difference(
                        own["foil_lift"].to_numpy(), other["foil_lift"].to_numpy(), -1, 1
                    ),
                )
            )
    return found
