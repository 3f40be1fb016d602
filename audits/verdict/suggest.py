"""Policies to start from: the default one, or one from the evidence of an accepted version."""

import json
import math
import re
from collections.abc import Iterator, Sequence

import yaml

from audits.checks.base import Check
from audits.config.policy import Condition, Policy
from audits.errors import AuditError, one_line, shortened
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.verdict.words import Word

_PLAIN = re.compile(r"[\w./-]+")  # of a record, a name may be anything
_STEP = 1000  # bounds are rounded to thousandths
_LONGEST = 400  # characters of a comment


def default_policy(checks: Sequence[Check], min_coverage: float) -> Policy:
    """The default bounds of the metrics that the checks declare, as conditions of a policy.

    The conditions are on drops below the baseline, on lifts over nulls, and on a least accuracy.
    There is no absolute bound on consistency, which differs between data and networks. Raises
    AuditError if no metric has default bounds.
    """
    conditions: list[Condition] = []
    for check in checks:
        # A reference is optional, so no default condition is on its figures.
        bounds = {
            f"{check.name}/{name}": metric.bounds
            for name, metric in check.declared_metrics(reference=False).items()
            if metric.bounds is not None
        }
        for name, bound in bounds.items():
            if bound.max_drop is not None:
                conditions.append(Condition(metric=name, max_drop=bound.max_drop))
            if bound.min_lift is not None:
                conditions.append(Condition(metric=name, min_lift=bound.min_lift))
        for name, bound in bounds.items():
            if bound.min is not None:
                conditions.append(Condition(metric=name, min=bound.min))
            if bound.max is not None:
                conditions.append(Condition(metric=name, max=bound.max))
    if not conditions:
        raise AuditError(
            "Expected checks with bounds for a default policy, got none. Give --policy."
        )
    return Policy(conditions=tuple(conditions), min_coverage=min_coverage)


def policy_from(word: Word, evidence: Sequence[Evidence], heading: Sequence[str]) -> str:
    """A policy as YAML, from the verdict and the evidence of an accepted version.

    The lines of `heading` are comments above it. With h the half width of a metric's interval,
    `min` is h below its lower end, or `max` h above its upper end if lower is better; `max_drop` is
    2 h, and `min_lift` is h below the lower end of the lift, but at least half of that end. A
    version as good as this one passes. `min_coverage` is at least .5. Raises AuditError for a
    version that failed, and for evidence without figures.
    """
    if word == "failed":
        raise AuditError(
            f"Expected an accepted version to start from, got one that failed: {heading[0]}"
        )
    lines: list[str] = []
    coverages: list[float] = []
    for found in evidence:
        if found.status != "ok":
            continue
        lines += _conditions(found)
        if found.coverage is not None and found.coverage.estimate.finite:
            coverages.append(_below(found.coverage.estimate))
    if not any("{" in line for line in lines):
        raise AuditError("Expected evidence with figures to start a policy from, found none.")
    head = [f"# {shortened(line, _LONGEST)}" for line in heading]  # may have any name in it
    tail = [f"min_coverage: {max(min(coverages), Policy().min_coverage):g}"] if coverages else []
    text = "\n".join([*head, "conditions:", *lines, *tail]) + "\n"
    Policy.model_validate(yaml.safe_load(text), strict=False)
    return text


def _conditions(evidence: Evidence) -> Iterator[str]:
    for metric_name, metric in evidence.metrics.items():
        estimate, lift = metric.estimate, metric.lift
        if metric.bounds is None or not estimate.finite:
            continue
        name = f"{evidence.check}/{metric_name}"
        if lift is not None and not (lift.finite and lift.low > 0):
            yield f"  # {one_line(name)} is left out: it was no better than its null."
            continue
        if metric.better == "lower":
            yield _line(name, "max", _above(estimate), estimate)
        else:
            yield _line(name, "min", _below(estimate), estimate)
        if metric.pairing is not None:
            yield _line(name, "max_drop", max(_up(estimate.high - estimate.low), 0.01), estimate)
        if lift is not None:
            yield _line(name, "min_lift", max(_below(lift), _down(lift.low / 2)), lift)


def _line(metric: str, bound: str, value: float, shown: Estimate) -> str:
    named = metric if _PLAIN.fullmatch(metric) else json.dumps(metric, ensure_ascii=False)
    return f"  - {{metric: {named}, {bound}: {value:g}}}  # {shown}"


def _below(estimate: Estimate) -> float:
    """Half an interval's width below its lower end, at least 0."""
    return max(_down(estimate.low - (estimate.high - estimate.low) / 2), 0.0)


def _above(estimate: Estimate) -> float:
    """Half an interval's width above its upper end."""
    return _up(estimate.high + (estimate.high - estimate.low) / 2)


def _down(value: float) -> float:
    return math.floor(value * _STEP) / _STEP


def _up(value: float) -> float:
    return math.ceil(value * _STEP) / _STEP
