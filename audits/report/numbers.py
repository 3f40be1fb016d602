"""Figures as people read them: percent, points, counts."""

from audits.evidence.estimate import Estimate
from audits.evidence.metric import Figure, MetricUnit

_POINTS: tuple[Figure, ...] = ("lift", "drop")


def number(value: float, unit: MetricUnit, figure: Figure = "value") -> str:
    """A share as percent, a difference of shares in percentage points, others as numbers.

    A nat is the unit of differences of logits.
    """
    if unit == "count":
        return f"{value:,.1f}"
    if unit == "ratio":
        return f"{value:.3g}"
    if unit == "nats":
        return f"{value:.2f} nats"
    words = _short(100 * value)
    if unit == "difference" or figure in _POINTS:
        return f"{words} point{'' if words in ('1', '-1') else 's'}"
    return f"{words} %"


def interval(estimate: Estimate, unit: MetricUnit, figure: Figure = "value") -> str:
    """The interval in the words of `number`, its unit once: "18.1 to 31 %"."""
    low, high = (number(end, unit, figure) for end in (estimate.low, estimate.high))
    return f"{low.split(' ')[0]} to {high}"


def _short(value: float) -> str:
    """With one decimal, unless it is zero."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
