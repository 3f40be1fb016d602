"""Conditions judge metrics whose lower values are better, and figures by their own names."""

from datetime import date

import pytest

from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing
from audits.verdict.decide import decide
from audits.verdict.suggest import policy_from

TODAY = date(2026, 1, 1)
ERROR = Metric(
    "error",
    better="lower",
    null=Null("chance"),
    pairing=Pairing("error", "mean"),
    bounds=DefaultBounds(max_drop=0.05),
)


def _judged(metric, name="error", **bound):
    evidence = Evidence(check="own", sentence="", metrics={"error": metric})
    condition = Condition(metric=f"own/{name}", **bound)
    return decide(Policy(conditions=(condition,)), [evidence], TODAY)


def _low(value):
    return Estimate(value, value - 0.02, value + 0.02, 200)


def test_a_low_error_that_is_better_than_its_null_passes():
    assert _judged(ERROR.measured(_low(0.1), null=0.5), max=0.2).word == "passed"
    assert _judged(ERROR.measured(_low(0.1), null=0.5), min_lift=0.3).word == "passed"


def test_a_low_error_that_is_worse_than_its_null_does_not_pass():
    verdict = _judged(ERROR.measured(_low(0.15), null=0.1), max=0.2)
    assert verdict.word == "undecided"
    assert "is no better than its null, chance" in verdict.reason


def test_a_higher_error_than_the_baseline_fails():
    worse = Metric(**{**vars(ERROR.measured(_low(0.1), null=0.5)), "drop": _low(0.3)})
    assert _judged(worse, max_drop=0.05).word == "failed"
    assert _judged(worse, name="error_drop", max=0.05).word == "failed"


@pytest.mark.parametrize(("name", "bound"), [("error", "max_drop"), ("error_drop", "max")])
def test_a_drop_is_told_alike_by_either_name(name, bound):
    metric = ERROR.measured(_low(0.1), null=0.5)
    unpaired = _judged(metric, name, **{bound: 0.05})
    assert "was not paired with a baseline's" in unpaired.reason
    better = Metric(**{**vars(metric), "drop": _low(-0.3)})
    assert "(an improvement)" in _judged(better, name, **{bound: 0.05}).reason
    same = Metric(**{**vars(metric), "drop": Estimate(-0.0001, -0.01, 0.01, 200)})
    assert "improvement" not in _judged(same, name, **{bound: 0.05}).reason


def test_a_null_without_a_lift_never_counts_as_better():
    metric = Metric(**{**vars(ERROR.measured(_low(0.1), null=0.5)), "lift": None})
    assert _judged(metric, max=0.2).word == "undecided"


def test_a_written_policy_bounds_an_error_from_above():
    evidence = Evidence(
        check="own", sentence="", metrics={"error": ERROR.measured(_low(0.1), null=0.5)}
    )
    text = policy_from("passed", [evidence], ["From a test"])
    assert "{metric: own/error, max: 0.14}" in text
    assert "min:" not in text
    assert "min_lift: 0.36" in text


def test_coverage_is_told_in_the_words_of_its_metric():
    metrics = {
        "x": Metric("x", _low(0.9)),
        "seen": Metric("images that were seen at all", _low(0.3), is_coverage=True),
    }
    evidence = Evidence(check="own", sentence="", metrics=metrics)
    policy = Policy(conditions=(Condition(metric="own/x", min=0.5),))
    reason = decide(policy, [evidence], TODAY).reason
    assert "coverage 0.300 [0.280, 0.320] may be below 0.5" in reason
    assert "images that were seen at all" in reason
