"""What a verdict does not cover: whether any condition judged what the model has learnt."""

from collections.abc import Iterable, Sequence

from audits.checks.base import Check
from audits.config.policy import Condition
from audits.evidence.declaration import range_of
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, named_figures


def not_covered(
    judged: Iterable[Condition], evidence: Sequence[Evidence], checks: Sequence[Check]
) -> str:
    """A sentence if no condition judged what the model has learnt, with the reason; else empty.

    `judged` are the conditions that passed or failed and are not waived; `checks` are those of the
    config.
    """
    about = {check.name: metrics for check in checks if (metrics := about_learning(check))}
    found = {one.check for one in evidence}
    for condition in judged:
        check = condition.metric.split("/")[0]
        if check in found and _asks(condition, about.get(check, {})):
            return ""
    return f"What the model has learnt was not judged ({_why(about, evidence)})."


def about_learning(check: Check) -> dict[str, Metric]:
    """The metrics of a check that tell what the model has learnt, as the check declares them."""
    # Not as evidence has them: an older release may have written it.
    declared = check.declared_metrics(reference=True)
    return {name: metric for name, metric in declared.items() if metric.about_learning}


def _asks(condition: Condition, metrics: dict[str, Metric]) -> bool:
    """Whether a condition asks that a figure of one of these metrics is good.

    A bound that always holds, a bound from the wrong side and a bound on a null do not ask that.
    """
    named = named_figures(metrics).get(condition.judged_metric.split("/")[1])
    if named is None or named.figure == "null":
        return False
    metric = metrics[named.metric]
    low, high = range_of(metric, named.figure)
    if condition.from_above:
        lower_is_better = named.figure == "value" and metric.better == "lower"
        return condition.bound < high and (named.figure == "drop" or lower_is_better)
    return condition.bound > low and (
        named.figure == "lift" or (named.figure == "value" and metric.better == "higher")
    )


def _why(about: dict[str, dict[str, Metric]], evidence: Sequence[Evidence]) -> str:
    if not about:
        return "the config has no check of it"
    found = {one.check: one for one in evidence}
    without = [name for name in about if name not in found or found[name].status != "ok"]
    if len(without) < len(about):
        usable = [f"{name}/{next(iter(about[name]))}" for name in about if name not in without]
        return f"no condition decides on a figure such as {' or '.join(usable)}"
    first = found.get(without[0])
    if first is None:
        return f"the audit has no evidence of {without[0]}"
    ended = "ended with an error" if first.status == "error" else "does not apply"
    return f"{first.check} {ended}: {first.reason.rstrip('.')}"
