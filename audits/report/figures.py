"""The figures of a check in words: a row for each metric, those that matter first."""

from collections.abc import Iterable
from typing import NamedTuple

from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Figure, Metric
from audits.report.answer import title_of
from audits.report.numbers import interval, number

_MOST, _LEAST = 6, 3


class FigureRow(NamedTuple):
    """One metric, with all of its figures in words; "" for what it does not have."""

    title: str
    metric: str  # its full name, as policies and MLflow have it
    value: str
    interval: str
    n: int
    null: str
    null_title: str
    lift: str
    drop: str


class Figures(NamedTuple):
    """The figures of a check that matter, and the others."""

    matter: tuple[FigureRow, ...]
    others: tuple[FigureRow, ...]


def figures(evidence: Evidence, judged: Iterable[str]) -> Figures:
    """All figures of a check; `judged` are the full names of metrics that the policy judges.

    Those matter that are judged, that a sentence tells, or that say how many images count; of a
    check with few of them also the first others.
    """
    wanted, named = set(judged), list(evidence.metrics.items())

    def rank(place: int) -> int:
        name, metric = named[place]
        if f"{evidence.check}/{name}" in wanted:
            return 0
        return 1 if metric.is_coverage or metric.clause else 2

    order = sorted(range(len(named)), key=rank)
    count = max(_LEAST, sum(rank(place) < 2 for place in order))
    first = set(order[: min(count, _MOST)])
    rows = [_row(evidence.check, name, metric) for name, metric in named]
    return Figures(
        tuple(rows[place] for place in order if place in first),
        tuple(row for place, row in enumerate(rows) if place not in first),
    )


def _row(check: str, name: str, metric: Metric) -> FigureRow:
    estimate, unit, null = metric.estimate, metric.unit, metric.null
    measured = null.estimate if null else None
    return FigureRow(
        title=title_of(metric, "value"),
        metric=f"{check}/{name}",
        value=number(estimate.value, unit) if estimate.finite else "not measured",
        interval=interval(estimate, unit) if estimate.finite else "",
        n=estimate.n,
        null=number(measured.value, unit) if measured is not None and measured.finite else "",
        null_title=null.title if null else "",
        lift=_beside(metric, "lift", metric.lift),
        drop=_beside(metric, "drop", metric.drop),
    )


def _beside(metric: Metric, figure: Figure, estimate: Estimate | None) -> str:
    if estimate is None or not estimate.finite:
        return ""
    value = number(estimate.value, metric.unit, figure)
    return f"{value} ({interval(estimate, metric.unit, figure)})"
