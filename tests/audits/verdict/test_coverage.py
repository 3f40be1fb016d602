"""A verdict passes in part unless a condition judged what the model has learnt."""

from dataclasses import replace
from datetime import date

import pytest

from audits.checks.ablation import Ablation
from audits.checks.input_doctor import InputDoctor
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.shifts import Shifts
from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, failed_evidence
from audits.verdict.coverage import about_learning
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
    ("metric", "bound", "value", "covers"),
    [
        ("random_fill/prototype_accuracy", "min", 0.5, True),
        ("random_fill/prototype_accuracy", "min_lift", 0.5, True),
        ("random_fill/prototype_f1_macro", "min", 0.5, True),
        ("random_fill/prototype_accuracy_moved", "min", 0.5, True),
        ("progressive_fill/agreement", "min", 0.5, True),  # counts if the accuracy has a lift
        ("random_fill/composite_accuracy", "min", 0.1, False),  # is mostly the original image
        ("random_fill/composite_accuracy", "min_lift", 0.1, False),
        ("random_fill/composite_f1_macro", "min", 0.1, False),
        ("random_fill/coverage", "min", 0.5, False),  # these tell how the check went
        ("random_fill/complete", "min", 0.5, False),
        ("random_fill/stability", "min", 0.5, False),
        ("progressive_fill/coverage", "min", 0.5, False),
        ("performance/f1_macro", "min", 0.5, False),
        ("random_fill/prototype_accuracy_null", "max", 0.5, False),  # not of the model's drawings
        ("random_fill/prototype_accuracy", "min", 0.0, False),  # these always hold
        ("random_fill/prototype_accuracy", "max", 1.0, False),
        ("random_fill/prototype_accuracy", "min_lift", -1.0, False),
        ("random_fill/prototype_accuracy", "max", 0.99, False),  # holds if it is bad
        ("random_fill/prototype_accuracy_lift", "max", 0.99, False),
    ],
)
def test_only_a_figure_about_learning_covers_it(metric, bound, value, covers):
    verdict = _decided(ACCURACY, Condition(metric=metric, **{bound: value}))
    assert verdict.word == "passed"
    assert (verdict.not_covered == "") == covers
    assert verdict.told == ("passed" if covers else "passed, in part")
    assert verdict.reason.startswith("What the model") == (not covers)


def test_the_reason_is_told():
    gap = _decided(ACCURACY, checks=CHECKS[:1], evidence=EVIDENCE[:1]).not_covered
    assert gap == "What the model has learnt was not judged (the config has no check of it)."
    gap = _decided(ACCURACY).not_covered
    assert gap.endswith(
        "(no condition decides on a figure such as random_fill/prototype_accuracy or "
        "progressive_fill/accuracy)."
    )
    lost = [failed_evidence(c.name, "not_applicable", "It has no gradient.") for c in CHECKS[1:]]
    gap = _decided(ACCURACY, evidence=[EVIDENCE[0], *lost]).not_covered
    assert gap.endswith("(random_fill does not apply: It has no gradient).")


@pytest.mark.parametrize("bound", [0.9, 0.99], ids=["not judged", "failed"])
def test_a_waived_condition_covers_nothing(bound):
    condition = Condition(metric="random_fill/prototype_accuracy", min=bound)
    waiver = Waiver(condition=str(condition), reason="known", until=TODAY)
    verdict = _decided(ACCURACY, condition, waivers=(waiver,))
    assert verdict.word == "passed"
    assert verdict.told == "passed, in part"
    lenient = Condition(metric="random_fill/prototype_accuracy", min=0.8)
    assert _decided(ACCURACY, condition, lenient, waivers=(waiver,)).told == "passed"
    useless = Waiver(condition=str(lenient), reason="held all the same", until=TODAY)
    assert _decided(ACCURACY, lenient, waivers=(useless,)).told == "passed"


@pytest.mark.parametrize(("bound", "covers"), [(0.5, True), (1.0, False)])
def test_a_drop_covers_it_unless_every_drop_is_allowed(bound, covers):
    metrics = EVIDENCE[1].metrics
    paired = replace(metrics["prototype_accuracy"], drop=Estimate(0.1, 0.0, 0.2, 400))
    fills = EVIDENCE[1].model_copy(update={"metrics": {**metrics, "prototype_accuracy": paired}})
    condition = Condition(metric="random_fill/prototype_accuracy", max_drop=bound)
    verdict = _decided(ACCURACY, condition, evidence=[EVIDENCE[0], fills])
    assert verdict.told == ("passed" if covers else "passed, in part")


def test_figures_about_learning_are_those_of_drawings():
    told = {
        check.kind: {name.replace("reference_", "") for name in about_learning(check)}
        for check in (Performance(), Shifts(), InputDoctor(), *CHECKS[1:], Ablation())
    }
    scores = ("accuracy", "f1_macro", "f1_weighted")
    assert told == {
        **{kind: set() for kind in ("performance", "shifts", "input_doctor")},
        "random_fill": {
            *(f"prototype_{score}" for score in scores),
            *("prototype_accuracy_moved", "prototype_accuracy_noise"),
        },
        "progressive_fill": {
            *scores,
            *("accuracy_moved", "accuracy_covered"),
            *("agreement", "agreement_f1_macro", "agreement_f1_weighted"),
        },
        "ablation": {"least_accuracy"},
    }


def test_a_verdict_that_is_not_passed_is_told_as_it_is():
    failed = _decided(Condition(metric="performance/accuracy", min=0.99))
    assert (failed.told, failed.not_covered) == ("failed", "")
    assert decide(Policy(conditions=(ACCURACY,)), EVIDENCE, TODAY).not_covered == ""
