"""Finds conditions on figures that the checks of an audit cannot give."""

import difflib
import math
from collections.abc import Iterator, Mapping

from audits.config.policy import Condition, Policy
from audits.evidence.declaration import range_of
from audits.evidence.metric import Metric, Named, named_figures

Declared = Mapping[str, Mapping[str, Metric]]
"""The metrics of each check by their names, both without a slash."""


def refusals(policy: Policy, declared: Declared, *, has_baseline: bool) -> list[str]:
    """One sentence for each condition that no audit with these checks could ever judge."""
    refused = [
        reason for condition in policy.conditions for reason in _refusals(condition, declared)
    ]
    drops = [c.metric for c in policy.conditions if _is_on_drop(c, declared)]
    if drops and not has_baseline:
        refused.append(
            f"the policy compares {', '.join(dict.fromkeys(drops))} with a baseline, but there is "
            "no baseline to compare with; name one under baseline (of the gate: --baseline)"
        )
    return refused


def compares(policy: Policy, declared: Declared) -> bool:
    """Whether any condition is on a drop below the baseline, by `max_drop` or by its name."""
    return any(_is_on_drop(condition, declared) for condition in policy.conditions)


def _is_on_drop(condition: Condition, declared: Declared) -> bool:
    check, figure = condition.judged_metric.split("/")
    named = named_figures(declared.get(check, {})).get(figure)
    return named is not None and named.figure == "drop"


def _refusals(condition: Condition, declared: Declared) -> Iterator[str]:
    said = f"the policy has a condition on {condition.metric!r}, but"
    check, metric = condition.metric.split("/")
    if check not in declared:
        yield f"{said} there is no check {check!r}; there are: {', '.join(declared)}"
        return
    figures = named_figures(declared[check])
    if metric not in figures:
        yield f"{said} {check} does not give it. {_nearest(metric, check, list(figures))}"
        return
    judged = condition.judged_metric.split("/")[1]
    if judged not in figures and condition.min_lift is not None:
        yield f"{said} it has no null, and so no min_lift. Set min instead"
    elif judged not in figures:
        yield f"{said} it is not compared with a baseline, and so has no max_drop. Set min instead"
    else:
        yield from _out_of_range(condition, declared[check], figures[judged])


def _out_of_range(
    condition: Condition, metrics: Mapping[str, Metric], named: Named
) -> Iterator[str]:
    """A bound outside the values that the figure can have decides nothing, whatever is measured."""
    low, high = range_of(metrics[named.metric], named.figure)
    if low <= condition.bound <= high:
        return
    never = (condition.bound > high) != condition.from_above
    upper = f"to {high:g}" if high < math.inf else "up"
    yield (
        f"the policy has the condition {str(condition)!r}, which {'never' if never else 'always'} "
        f"holds: {condition.judged_metric} is from {low:g} {upper}. Give a bound in that range"
    )


def _nearest(metric: str, check: str, known: list[str]) -> str:
    close = difflib.get_close_matches(metric, known, n=3)
    if close:
        return f"Did you mean {' or '.join(repr(f'{check}/{name}') for name in close)}?"
    return f"It gives: {', '.join(known)}"
