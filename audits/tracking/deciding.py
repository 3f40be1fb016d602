"""The few figures that become metrics of the run; evidence.json and the report have all."""

from collections.abc import Iterator

from audits.evidence.metric import figure_name
from audits.report.answer import Row, answer
from audits.verdict.result import AuditResult

_FEW = 6


def deciding_metrics(result: AuditResult) -> dict[str, float]:
    """At most six figures, those first that the answer's sentence tells. All of them are finite.

    These are the figure that decided, its metric and its null, and how often the model is right.
    Then come other figures that decided, further judged ones, nulls and metrics beside them, and
    the first metric of each check that has words for a sentence about the model.
    """
    finite = {
        name: estimate.value
        for one in result.evidence
        for name, estimate in one.named_estimates.items()
        if estimate.finite
    }
    names = (name for name in dict.fromkeys(_by_worth(result)) if name in finite)
    return {name: finite[name] for name, _ in zip(names, range(_FEW), strict=False)}


def _by_worth(result: AuditResult) -> Iterator[str]:
    found = answer(result.verdict, result.evidence)
    rows = sorted(found.rows, key=lambda row: _rank(row, result))
    for row in rows[:1]:
        yield from _with_beside(row)
    told = [*_told(result)]
    yield from told[:1]
    yield from (row.judgement.condition.judged_metric for row in rows)
    for row in rows:
        yield from _with_beside(row)
    yield from told


def _rank(row: Row, result: AuditResult) -> tuple[bool, bool]:
    """First what decided and is about learning, as in the answer's sentence."""
    learnt = row.metric is not None and row.metric.about_learning
    return row.judgement not in result.verdict.deciding, not learnt


def _with_beside(row: Row) -> tuple[str, str, str]:
    """The judged figure, its metric, and the null."""
    condition = row.judgement.condition
    return condition.judged_metric, condition.metric, figure_name(condition.metric, "null")


def _told(result: AuditResult) -> Iterator[str]:
    for one in result.evidence:
        for name, metric in one.metrics.items():
            if metric.clause:
                yield f"{one.check}/{name}"
                break
