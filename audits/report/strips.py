"""The strip of a condition: its figure with interval, its bound and its null on one axis."""

import math
from typing import NamedTuple

from audits.evidence.declaration import range_of
from audits.evidence.metric import Figure, Metric
from audits.report.answer import Row
from audits.report.numbers import number

WIDTH, _EDGE = 230, 8
_ENDS = (0.05, 0.1, 0.2, 0.5)  # of an axis of small differences


class Strip(NamedTuple):
    """Places on a strip `WIDTH` wide, from the left; None for what the condition does not have."""

    left: str  # the number at the left end of the axis
    right: str
    zone: tuple[float, float]  # where the condition holds: from, width
    bound: float
    value: float | None
    interval: tuple[float, float] | None
    null: float | None
    told: str  # all of it in words


def strip(row: Row) -> Strip | None:
    """The strip of a row of the answer; None if the audit does not have the metric."""
    metric, figure, estimate = row.metric, row.figure, row.estimate
    if metric is None:
        return None
    bound, null = row.judgement.condition.bound, _null(row)
    ends = [] if estimate is None else [estimate.low, estimate.high]
    low, high = axis_of(metric, figure, [bound, *ends, *([] if null is None else [null])])

    def place(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(_EDGE + share * (WIDTH - 2 * _EDGE), 1)

    at = place(bound)
    zone = (_EDGE, at - _EDGE) if row.judgement.condition.from_above else (at, WIDTH - _EDGE - at)
    beside = f"; {row.against}" if row.against else ""
    return Strip(
        left=number(low, metric.unit, figure),
        right=number(high, metric.unit, figure),
        zone=(zone[0], round(zone[1], 1)),
        bound=at,
        value=None if estimate is None else place(estimate.value),
        interval=None if estimate is None else (place(estimate.low), place(estimate.high)),
        null=None if null is None else place(null),
        told=f"measured {row.measured}; needed {row.needs}{beside}",
    )


def _null(row: Row) -> float | None:
    """The null on the axis of the judged figure; a lift is 0 there, and a drop has none."""
    if row.figure == "lift":
        return 0.0
    return None if row.null is None or row.figure == "drop" else row.null.value


def axis_of(metric: Metric, figure: Figure, values: list[float]) -> tuple[float, float]:
    """The ends of the axis: of all values that are possible, without an empty half."""
    low, high = range_of(metric, figure)
    reach = 1.25 * max(abs(value) for value in values)
    if low < 0:  # a difference
        high = min(next((end for end in _ENDS if end >= reach), high), high)
        if high == math.inf:
            high = reach
        low = -high
    elif high == math.inf:
        high = reach or 1.0
    return (0.0 if min(values) >= 0 else low), high
