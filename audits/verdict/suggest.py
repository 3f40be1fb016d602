"""Policies to start from: the default one, and one written from an accepted version's evidence."""

import math
from collections.abc import Iterator, Sequence

import yaml

from audits.checks.base import Check
from audits.config.policy import Condition, Policy
from audits.config.reading import parse_config
from audits.errors import AuditError
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import Estimate
from audits.tracking.reader import PastAudit

_LEAST_ACCURACY = 0.5  # wrong more often than right goes nowhere
_MOST_DROP = {"performance": 0.02}
_MOST_DROP_OF_FILLS = 0.05
_LEAST_LIFT = 0.1
_STEP = 1000  # bounds are rounded to thousandths


def default_policy(checks: Sequence[Check], min_coverage: float) -> Policy:
    """Conditions on the baseline and the nulls, minimum coverage and minimum accuracy.

    No absolute bound on consistency, which differs between data and networks.
    """
    conditions: list[Condition] = []
    for check in checks:
        for metric in check.decisive:
            name = f"{check.name}/{metric}"
            drop = _MOST_DROP.get(check.kind, _MOST_DROP_OF_FILLS)
            conditions.append(Condition(metric=name, max_drop=drop))
            if check.has_nulls:
                conditions.append(Condition(metric=name, min_lift=_LEAST_LIFT))
        if check.kind == "performance":
            conditions.append(Condition(metric=f"{check.name}/accuracy", min=_LEAST_ACCURACY))
    if not conditions:
        raise AuditError("Expected checks that the default policy knows. Give --policy.")
    return Policy(conditions=tuple(conditions), min_coverage=min_coverage)


def policy_from(audit: PastAudit) -> str:
    """A policy as YAML, from what an accepted version showed; raises AuditError without figures.

    With h the half width of a metric's interval: `min` is h below its lower end, `max_drop` 2 h,
    `min_lift` h below the lower end of its lift, at least half of that end, so that a version as
    good as this one passes. `min_coverage` is at least .5.
    """
    if audit.word == "failed":
        raise AuditError(
            f"Expected an accepted version to start from, got one that failed: {audit.run_id}."
        )
    config = parse_config(audit.content["config"])
    evidence = {one.check: one for one in audit.evidence if one.status == "ok"}
    lines: list[str] = []
    coverages: list[float] = []
    for check in config.checks:
        if (found := evidence.get(check.name)) is None:
            continue
        lines += _conditions(check, found)
        if (coverage := found.metrics.get("coverage")) is not None and coverage.finite:
            coverages.append(_below(coverage))
    if not any("{" in line for line in lines):
        raise AuditError("Expected evidence with figures to start a policy from, found none.")
    model, images = audit.content["model"], audit.content["data"]
    head = [
        f"# From the audit of {model['uri']} (verdict {audit.word}, run {audit.run_id})",
        f"# on {images['name']}, {images['images']} images. Behind each bound: what it showed.",
    ]
    tail = [f"min_coverage: {max(min(coverages), Policy().min_coverage):g}"] if coverages else []
    text = "\n".join([*head, "conditions:", *lines, *tail]) + "\n"
    Policy.model_validate(yaml.safe_load(text), strict=False)
    return text


def _conditions(check: Check, evidence: Evidence) -> Iterator[str]:
    for metric in check.decisive:
        estimate = evidence.metrics.get(metric)
        if estimate is None or not estimate.finite:
            continue
        name = f"{check.name}/{metric}"
        lift = evidence.metrics.get(f"{metric}_lift")
        if lift is not None and not (lift.finite and lift.low > 0):
            yield f"  # {name} is left out: it was no better than its null."
            continue
        yield _line(name, "min", _below(estimate), estimate)
        yield _line(name, "max_drop", max(_up(estimate.high - estimate.low), 0.01), estimate)
        if lift is not None:
            yield _line(name, "min_lift", max(_below(lift), _down(lift.low / 2)), lift)


def _line(metric: str, bound: str, value: float, shown: Estimate) -> str:
    found = f"{shown.value:.3f} [{shown.low:.3f}, {shown.high:.3f}]"
    return f"  - {{metric: {metric}, {bound}: {value:g}}}  # {found}"


def _below(estimate: Estimate) -> float:
    """Half an interval's width below its lower end, at least 0."""
    return max(_down(estimate.low - (estimate.high - estimate.low) / 2), 0.0)


def _down(value: float) -> float:
    return math.floor(value * _STEP) / _STEP


def _up(value: float) -> float:
    return math.ceil(value * _STEP) / _STEP
