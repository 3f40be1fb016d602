"""The few figures that become metrics of the run; evidence.json and the report have all."""

from collections.abc import Iterator

from audits.evidence.metric import figure_name
from audits.verdict.result import AuditResult

_FEW = 6  # besides those that a condition judges, which are all logged


def deciding_metrics(result: AuditResult) -> dict[str, float]:
    """Every figure that a condition judges, then the figures beside them, six if there are so many.

    Beside them stand their nulls, the metrics that they are figures of, and the first metric of
    each check that has words for a sentence about the model. Only finite figures are taken.
    """
    finite = {
        name: estimate.value
        for one in result.evidence
        for name, estimate in one.named_estimates.items()
        if estimate.finite
    }
    conditions = [judgement.condition for judgement in result.verdict.judgements]
    judged = {condition.judged_metric for condition in conditions}
    chosen = [name for name in dict.fromkeys(c.judged_metric for c in conditions) if name in finite]
    beside = [figure_name(condition.metric, "null") for condition in conditions]
    beside += [condition.metric for condition in conditions]
    for name in dict.fromkeys([*beside, *_told(result)]):
        if len(chosen) >= _FEW:
            break
        if name in finite and name not in judged:
            chosen.append(name)
    return {name: finite[name] for name in chosen}


def _told(result: AuditResult) -> Iterator[str]:
    for one in result.evidence:
        for name, metric in one.metrics.items():
            if metric.clause:
                yield f"{one.check}/{name}"
                break
