"""A metric has the figures that it declares, with names made from its own."""

from dataclasses import astuple

import pytest

from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.registered import check_classes
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.metric import Metric, Null, Pairing, named_figures

HALF = Estimate(0.5, 0.4, 0.6, 90)
THIRD = Estimate(0.25, 0.2, 0.3, 90)
LIFT = Estimate(0.25, 0.15, 0.35, 90)


def test_what_was_declared_and_not_measured_is_never_finite():
    assert not Metric("right").estimate.finite
    assert not UNMEASURED.finite


def test_a_lift_over_a_known_value_follows_from_it():
    metric = Metric("right", null=Null("chance")).measured(HALF, null=0.125)
    assert metric.null.estimate == Estimate(0.125, 0.125, 0.125, 90)
    assert metric.lift == Estimate(0.375, 0.275, 0.475, 90)


def test_a_lift_above_0_is_better_also_where_lower_is():
    metric = Metric("wrong", better="lower", null=Null("chance")).measured(HALF, null=0.75)
    assert astuple(metric.lift) == pytest.approx((0.25, 0.15, 0.35, 90))
    worse = Metric("wrong", better="lower", null=Null("chance")).measured(HALF, null=0)
    assert worse.lift.high < 0


@pytest.mark.parametrize(
    ("declared", "figures"),
    [
        (Metric("right"), {"null": THIRD, "lift": LIFT}),
        (Metric("right"), {"null": 0.1}),
        (Metric("right", null=Null("chance")), {}),
        (Metric("right", null=Null("chance")), {"null": THIRD}),
    ],
)
def test_figures_must_be_those_that_were_declared(declared, figures):
    with pytest.raises(ValueError, match=r"Expected (no null|a null and a lift) for 'right'"):
        declared.measured(HALF, **figures)


def test_names_of_figures_are_made_of_the_metric_that_has_them():
    pairing = Pairing("predicted", "accuracy")
    metrics = {
        "accuracy": Metric("right", null=Null("chance"), pairing=pairing).measured(HALF, 0.1),
        "drop_rate": Metric("dropped"),  # `drop` in the name of a metric means nothing
        "worst": Metric("in the worst cell", null=Null("chance", single=False)).measured(
            HALF, lift=LIFT
        ),
    }
    found = named_figures(metrics)
    assert list(found) == [
        *("accuracy", "accuracy_null", "accuracy_lift", "accuracy_drop", "drop_rate"),
        *("worst", "worst_lift"),  # each cell has a null of its own
    ]
    assert found["accuracy_drop"].estimate is None  # not compared yet
    assert found["worst_lift"] == ("worst", "lift", LIFT)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("kind", check_classes(), ids=lambda kind: kind.__name__)
def test_declared_metrics_refer_to_each_other_and_to_no_other(kind, reference):
    metrics = kind.model_construct().declared_metrics(reference=reference)
    assert metrics
    for name, metric in metrics.items():
        assert metric.title
        assert "/" not in name
        assert metric.estimate == UNMEASURED
        assert metric.rests_on is None or metrics[metric.rests_on].null is not None
    assert sum(metric.is_coverage for metric in metrics.values()) <= 1


@pytest.mark.parametrize("kind", [RandomFill, ProgressiveFill])
def test_figures_of_a_reference_are_not_compared_with_a_baseline(kind):
    metrics = kind().declared_metrics(reference=True)
    named = {name for name in metrics if "reference" in name}
    assert named
    assert not any(metrics[name].pairing for name in named)
