"""What a verdict does not cover: whether any condition judged what the model has learnt."""

from collections.abc import Iterable, Sequence

from audits.checks.base import Check
from audits.evidence.evidence import Evidence
from audits.evidence.metric import named_figures


def not_covered(
    judged: Iterable[str], evidence: Sequence[Evidence], checks: Sequence[Check]
) -> str:
    """A sentence if no condition judged what the model has learnt, with the reason; else empty.

    `judged` are figures, `<check>/<figure>`, on which a condition passed or failed; `checks` are
    those of the config.
    """
    asking = [check.name for check in checks if check.about_learning]
    found = {one.check: one for one in evidence if one.check in asking}
    for check, figure in (name.split("/") for name in judged):
        if check in found and _tells(found[check], figure):
            return ""
    return f"What the model has learnt was not judged ({_why(asking, evidence)})."


def _tells(evidence: Evidence, figure: str) -> bool:
    """Whether a figure of a check tells what the model has learnt, and not how the check went.

    In a check with nulls that is a figure with a null, or one that rests on such a figure.
    """
    metrics = evidence.metrics
    if all(metric.null is None for metric in metrics.values()):
        return True
    named = named_figures(metrics).get(figure)
    metric = metrics[named.metric] if named else None
    return metric is not None and (metric.null is not None or metric.rests_on is not None)


def _why(asking: Sequence[str], evidence: Sequence[Evidence]) -> str:
    if not asking:
        return "the config has no check of it"
    found = {one.check: one for one in evidence}
    without = [name for name in asking if name not in found or found[name].status != "ok"]
    if len(without) < len(asking):
        usable = [name for name in asking if name not in without]
        return f"no condition on {' or '.join(usable)} decides"
    first = found.get(without[0])
    if first is None:
        return f"the audit has no evidence of {without[0]}"
    ended = "ended with an error" if first.status == "error" else "does not apply"
    return f"{first.check} {ended}: {first.reason.rstrip('.')}"
