"""Faulty declarations are named, and so are measurements that differ from their declaration."""

import pytest

from audits.checks.registered import check_classes
from audits.evidence.declaration import differences, faults_in
from audits.evidence.estimate import Estimate
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing

HALF = Estimate(0.5, 0.4, 0.6, 90)
NULL = Null("chance")
PAIRED = Pairing("seen", "accuracy")


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("kind", check_classes(), ids=lambda kind: kind.__name__)
def test_our_own_declarations_make_sense(kind, reference):
    assert faults_in(kind.model_construct().declared_metrics(reference)) == []


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"a/b": Metric("m")}, "'a/b' is no name"),
        ({"": Metric("m")}, "'' is no name"),
        ({"x": Metric("m", rests_on="y")}, "'x' rests on 'y', which is no metric with a null"),
        ({"x": Metric("m", rests_on="y"), "y": Metric("n")}, "'x' rests on 'y'"),
        ({"x": Metric("m", null=NULL), "x_lift": Metric("n")}, "two figures are called 'x_lift'"),
        ({"x": Metric("m", pairing=PAIRED), "x_drop": Metric("n")}, "called 'x_drop'"),
        ({"x": Metric("m", better=None, null=NULL)}, "neither way is better"),
        ({"x": Metric("m", better=None, pairing=PAIRED)}, "neither way is better"),
        ({"x": Metric("m", bounds=DefaultBounds(min_lift=0.1))}, "on its lift, but no null"),
        ({"x": Metric("m", bounds=DefaultBounds(max_drop=0.1))}, "on its drop, but no pairing"),
        ({"x": Metric("m", clause="names the images")}, "expected the value's place, {}, once"),
        ({"x": Metric("m", clause="{} of {}")}, "expected the value's place, {}, once"),
        ({"x": Metric("m", clause="{} of {x.y}")}, "expected the value's place, {}, once"),
        (
            {name: Metric("m", is_coverage=True) for name in ("x", "y")},
            "more than one metric is the coverage",
        ),
    ],
)
def test_a_declaration_that_makes_no_sense_is_named(declared, fault):
    assert any(fault in found for found in faults_in(declared))


DECLARED = {
    "accuracy": Metric("right", null=NULL, pairing=PAIRED),
    "coverage": Metric("covered", is_coverage=True),
}
MEASURED = {
    "accuracy": DECLARED["accuracy"].measured(HALF, null=0.1),
    "coverage": DECLARED["coverage"].measured(HALF),
}


def test_what_was_measured_as_it_was_declared_differs_in_nothing():
    assert differences(DECLARED, MEASURED) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"coverage": None}, "'coverage' was declared and is missing"),
        ({"more": Metric("m", HALF)}, "'more' was not declared"),
        ({"coverage": Metric("covered", HALF)}, "'coverage' is not described as it was declared"),
        ({"accuracy": Metric("right", HALF)}, "'accuracy' is not described"),
        ({"accuracy": Metric("right", HALF, null=NULL, pairing=PAIRED)}, "a null and no lift"),
        (
            {"coverage": DECLARED["coverage"].measured(Estimate(5, 4, 6, 90))},
            "'coverage' is a share and has the value 5",
        ),
        (
            {"accuracy": Metric("right", HALF, null=NULL, lift=HALF, pairing=PAIRED)},
            "a lift and no figure of its null",
        ),
    ],
)
def test_a_difference_is_named(change, told):
    measured = {name: m for name, m in {**MEASURED, **change}.items() if m is not None}
    (found,) = differences(DECLARED, measured)
    assert told in found
