"""A verdict passes in part unless a condition judged what the model has learnt."""

from datetime import date

import pytest

from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, failed_evidence
from audits.verdict.decide import decide

TODAY = date(2026, 1, 1)
CHECKS = (Performance(), RandomFill(), ProgressiveFill())
HIGH = Estimate(0.9, 0.85, 0.95, 400)
ACCURACY = Condition(metric="performance/accuracy", min=0.5)


def _measured(check):
    declared = check.declared_metrics(reference=False)
    metrics = {
        name: metric.measured(HIGH, null=0.1) if metric.null else metric.measured(HIGH)
        for name, metric in declared.items()
    }
    return Evidence(check=check.name, sentence="A sentence.", metrics=metrics)


EVIDENCE = [_measured(check) for check in CHECKS]


def _decided(*conditions, evidence=EVIDENCE, checks=CHECKS, **policy):
    return decide(Policy(conditions=conditions, **policy), evidence, TODAY, checks=checks)


@pytest.mark.parametrize(
    ("metric", "bound", "covers"),
    [
        ("random_fill/prototype_accuracy", "min", True),
        ("random_fill/prototype_accuracy", "min_lift", True),
        ("progressive_fill/agreement", "min", True),  # counts only if the accuracy has a lift
        ("random_fill/coverage", "min", False),  # these tell how the check went
        ("random_fill/complete", "min", False),
        ("performance/f1_macro", "min", False),
    ],
)
def test_only_a_figure_about_learning_covers_it(metric, bound, covers):
    verdict = _decided(ACCURACY, Condition(metric=metric, **{bound: 0.5}))
    assert verdict.word == "passed"
    assert (verdict.not_covered == "") == covers
    assert verdict.told == ("passed" if covers else "passed, in part")
    assert verdict.reason.startswith("What the model") == (not covers)


def test_the_reason_is_told():
    gap = _decided(ACCURACY, checks=CHECKS[:1], evidence=EVIDENCE[:1]).not_covered
    assert gap == "What the model has learnt was not judged (the config has no check of it)."
    gap = _decided(ACCURACY).not_covered
    assert gap.endswith("(no condition on random_fill or progressive_fill decides).")
    lost = [failed_evidence(c.name, "not_applicable", "It has no gradient.") for c in CHECKS[1:]]
    gap = _decided(ACCURACY, evidence=[EVIDENCE[0], *lost]).not_covered
    assert gap.endswith("(random_fill does not apply: It has no gradient).")


def test_a_waived_condition_that_was_not_judged_covers_nothing():
    straddling = Condition(metric="random_fill/prototype_accuracy", min=0.9)
    bad = Condition(metric="random_fill/prototype_accuracy", min=0.99)
    for condition, covers in ((straddling, False), (bad, True)):
        waiver = Waiver(condition=str(condition), reason="known", until=TODAY)
        verdict = _decided(ACCURACY, condition, waivers=(waiver,))
        assert verdict.word == "passed"
        assert (verdict.not_covered == "") == covers


def test_a_verdict_that_is_not_passed_is_told_as_it_is():
    failed = _decided(Condition(metric="performance/accuracy", min=0.99))
    assert (failed.told, failed.not_covered) == ("failed", "")
    assert decide(Policy(conditions=(ACCURACY,)), EVIDENCE, TODAY).not_covered == ""
