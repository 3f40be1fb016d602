"""The index page of a registry: a row a model, with its verdict and the trend of one figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from audits.config.policy import Condition
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Figure, MetricUnit, named_figures
from audits.report.answer import Answer, Row, title_of
from audits.report.html import page
from audits.report.numbers import interval, number
from audits.report.strips import axis_of
from audits.verdict.judgement import Outcome

WIDTH, HEIGHT = 300, 116
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 12, 22
_OUTCOMES = {"passed": "holds", "failed": "does not hold", "not_judged": "not settled"}


@dataclass(frozen=True)
class Past:
    """One version with a verified audit."""

    version: str
    word: str  # of the verdict
    evidence: Sequence[Evidence]
    date: str = ""


@dataclass(frozen=True)
class Indexed:
    """One registered model: its newest audited version last, and what is shown of it."""

    name: str
    answer: Answer
    versions: Sequence[Past]  # oldest first
    versions_left: int = 0  # older audited versions, which are not shown
    unverified: Sequence[str] = ()  # versions whose audit cannot be verified
    thumbnail: str = ""  # data URI of a picture
    run_url: str = ""
    run_id: str = ""


class Point(NamedTuple):
    """One version in a trend, with places in the picture."""

    version: str
    outcome: Outcome  # of the interval alone against the bound of today
    x: float
    y: float
    low: float
    high: float
    told: str


class Trend(NamedTuple):
    """The deciding figure over versions."""

    title: str
    metric: str
    points: tuple[Point, ...]
    bound: float
    needs: str  # "at least 60 %"
    newest: str  # "v3: 41 % (37 to 46 %)"
    top: str  # the numbers at the ends of the axis
    bottom: str
    told: str  # all of it in words


class _Row(NamedTuple):
    model: Indexed
    trend: Trend | None


def index(models: Sequence[Indexed], without: Sequence[str], registry: str, date: str) -> str:
    """The page as HTML; `without` are names of registered models that have no audit."""
    rows = [_Row(model, trend(model)) for model in models]
    return page(
        "index.html",
        rows=rows,
        without=without,
        registry=registry,
        date=date,
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        top=_TOP,
        floor=HEIGHT - _BOTTOM,
    )


def trend(model: Indexed) -> Trend | None:
    """The figure that decided about the newest version, of all versions; None if there is none."""
    row = _deciding(model.answer)
    if row is None or row.metric is None:
        return None
    name, figure = row.judgement.condition.judged_metric, row.figure
    found = [(past, _figure(past.evidence, name)) for past in model.versions]
    known = [(past, estimate) for past, estimate in found if estimate is not None]
    if not known:
        return None
    bound, unit = row.judgement.condition.bound, row.metric.unit
    ends = [end for _, one in known for end in (one.low, one.high)]
    low, high = axis_of(row.metric, figure, [bound, *ends])

    def height(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)

    step = (WIDTH - _LEFT - _RIGHT) / len(known)
    points = tuple(
        Point(
            past.version,
            outcome := _outcome(one, row.judgement.condition),
            round(_LEFT + (place + 0.5) * step, 1),
            height(one.value),
            height(one.low),
            height(one.high),
            f"{_told(past, one, unit, figure)}, {_OUTCOMES[outcome]}",
        )
        for place, (past, one) in enumerate(known)
    )
    told = "; ".join(point.told for point in points)
    title = title_of(row.metric, figure)
    return Trend(
        title,
        name,
        points,
        height(bound),
        needs=row.needs,
        newest=_told(*known[-1], unit, figure),
        top=number(high, unit, figure),
        bottom=number(low, unit, figure),
        told=f"{title}, needed {row.needs}: {told}",
    )


def _outcome(one: Estimate, condition: Condition) -> Outcome:
    """Whether the whole interval is on one side of the bound."""
    bound = condition.bound
    holds = one.high <= bound if condition.from_above else one.low >= bound
    fails = one.low > bound if condition.from_above else one.high < bound
    return "passed" if holds else "failed" if fails else "not_judged"


def _told(past: Past, one: Estimate, unit: MetricUnit, figure: Figure) -> str:
    between = interval(one, unit, figure)
    return f"v{past.version}: {number(one.value, unit, figure)} ({between})"


def _deciding(answer: Answer) -> Row | None:
    """The row that the sentence of the answer tells: first of what the model has learnt."""
    measured = [row for row in answer.rows if row.estimate is not None]
    first = [row for row in measured if row.outcome == measured[0].outcome]
    learnt = [row for row in first if row.metric is not None and row.metric.about_learning]
    return next(iter(learnt or first), None)


def _figure(evidence: Sequence[Evidence], judged: str) -> Estimate | None:
    check, name = judged.split("/")
    metrics = next((one.metrics for one in evidence if one.check == check), {})
    named = named_figures(metrics).get(name)
    found = named.estimate if named else None
    return found if found is not None and found.finite else None
