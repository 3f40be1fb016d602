"""A part in which anything is forged is refused in one line, or judged without a gain by it.

FILLBLANKS_FUZZ is the number of forgeries; `make soak` tries 2,000.
"""

import math
import os
from datetime import date

import pytest
from forged import CHECKS, QUICK, forged, forgeries, measured_parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audits.checks.registered import check_classes
from audits.config.policy import Condition, Policy
from audits.errors import AuditError
from audits.evidence.codec import from_part
from audits.evidence.declaration import differences, range_of
from audits.evidence.metric import named_figures
from audits.execution.concluding import checked_answers, checked_part, concluded
from audits.execution.worker import WorkerFailure
from audits.verdict.decide import decide

_CASES = int(os.environ.get("FILLBLANKS_FUZZ", "100"))
_TODAY = date(2026, 1, 1)


def _fuzz(cases):
    return settings(
        max_examples=cases,
        derandomize=cases <= 100,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_every_check_of_ours_is_forged():
    ours = {kind for kind in check_classes() if kind.__module__.startswith("audits.")}
    assert {type(check) for check in CHECKS.values()} == ours


@_fuzz(min(_CASES, 40))
@given(data=st.data(), name=st.sampled_from(QUICK))
def test_a_forged_part_of_a_quick_check_gains_nothing(data, name):
    _try(data, name)


@pytest.mark.slow
@_fuzz(_CASES)
@given(data=st.data(), name=st.sampled_from(sorted(CHECKS)))
def test_a_forged_part_of_any_check_gains_nothing(data, name):
    _try(data, name)


def _try(data, name):
    real = measured_parts(name)
    parts = forged(real.parts, forgery := data.draw(forgeries(real.parts)))
    try:
        evidence = _concluded(real, parts)
    except (AuditError, WorkerFailure) as error:
        line = error.reason if isinstance(error, WorkerFailure) else str(error)
        assert line
        assert "\n" not in line
        assert len(line) < 1000
        return
    passed = _passed(evidence, _conditions(evidence))
    for condition in passed:
        named = named_figures(evidence.metrics)[condition.judged_metric.split("/")[1]]
        low, high = range_of(evidence.metrics[named.metric], named.figure)
        assert named.estimate.finite
        assert low <= named.estimate.low <= named.estimate.high <= high
    if isinstance(forgery.value, float) and not math.isfinite(forgery.value):
        before = _concluded(real, real.parts)
        gained = _passed(evidence, _conditions(before)) - _passed(before, _conditions(before))
        assert not gained, f"{forgery} makes conditions pass"


def _concluded(real, parts):
    """The evidence, as an audit makes it of what the model's process sent."""
    check, audit, units = real.check, real.audit, real.units
    told = [checked_part(p, check, audit, u) for p, u in zip(parts, units, strict=False)]
    if check.asks_at_the_end:
        told.append(checked_answers(parts[-1], check, audit, told))
    evidence = from_part(concluded(check, audit, told))
    if evidence.status == "ok" and (found := differences(_declared(real), evidence.metrics)):
        raise AuditError("; ".join(found))
    return evidence


def _declared(real):
    return real.check.declared_metrics(real.audit.with_reference)


def _conditions(evidence):
    """A condition at each figure, from both sides: without a change none of them passes."""
    found = []
    for name, figure in named_figures(evidence.metrics).items():
        if figure.estimate is None or not math.isfinite(figure.estimate.value):
            continue
        metric, value = f"{evidence.check}/{name}", figure.estimate.value
        found += [Condition(metric=metric, min=value), Condition(metric=metric, max=value)]
    return tuple(found)


def _passed(evidence, conditions):
    passed = set()
    for condition in conditions:
        policy = Policy(conditions=(condition,))
        if decide(policy, [evidence], _TODAY).word == "passed":
            passed.add(condition)
    return passed
