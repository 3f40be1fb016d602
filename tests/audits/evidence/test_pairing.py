"""Drops below a baseline have paired intervals; evidence that cannot be paired is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from audits.checks.performance import Performance
from audits.errors import AuditError
from audits.evidence.evidence import Evidence, failed_evidence
from audits.evidence.f1 import paired_f1_difference
from audits.evidence.intervals import (
    difference,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import Metric, Pairing
from audits.evidence.pairing import with_drops

CLASSES = ("cat", "dog", "owl")


def _pairs(both, only_a, only_b, neither):
    counts = [both, only_a, only_b, neither]
    a = np.repeat([True, True, False, False], counts)
    b = np.repeat([True, False, True, False], counts)
    return a, b


def test_independent_pairs_have_the_interval_of_independent_shares():
    a, b = _pairs(30, 20, 30, 20)  # a and b are independent
    paired, apart = paired_difference(a, b), difference(proportion(a), proportion(b))
    assert (paired.low, paired.high) == pytest.approx((apart.low, apart.high))


def test_pairs_that_agree_have_a_narrower_interval_that_still_has_a_width():
    a, b = _pairs(80, 1, 1, 18)
    paired, apart = paired_difference(a, b), difference(proportion(a), proportion(b))
    assert paired.value == 0
    assert 0 < paired.high < 0.6 * apart.high
    few = paired_difference(*_pairs(5, 0, 0, 0))
    assert few.low < -0.2 < 0.2 < few.high


def test_exchanging_the_models_mirrors_the_interval():
    a, b = _pairs(50, 9, 3, 20)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.slow
def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    random = np.random.default_rng(0)
    shares, n, held = [0.7, 0.12, 0.06, 0.12], 80, 0
    for _ in range(2000):
        estimate = paired_difference(*_pairs(*random.multinomial(n, shares)))
        held += estimate.low <= 0.06 <= estimate.high
    assert 0.94 <= held / 2000 <= 0.99


def test_the_difference_of_f1_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    a, b = (np.where(random.random(300) < p, truth, random.integers(0, 3, 300)) for p in (0.9, 0.5))
    estimate = paired_f1_difference(truth, a, b, "macro")
    expected = f1_score(truth, a, average="macro") - f1_score(truth, b, average="macro")
    assert estimate.value == pytest.approx(expected)
    assert 0 < estimate.low < estimate.value < estimate.high < 1


def _evidence(label, predicted):
    table = pd.DataFrame({"label": label, "predicted": predicted})
    metrics = Performance().declared_metrics(reference=False)
    return Evidence(check="performance", sentence="", images=table, metrics=metrics)


def test_a_baseline_with_its_classes_in_another_order_is_compared_by_name():
    ours = _evidence([0, 1, 2, 2], [0, 1, 2, -1])
    theirs = _evidence([0, 1, 2, 2], [0, 2, 2, 1])
    same = with_drops(ours, theirs, CLASSES, CLASSES)
    # The same answers, from a model that calls owl 0, cat 1 and dog 2.
    other = _evidence([1, 2, 0, 0], [1, 0, 0, 2])
    mixed = with_drops(ours, other, CLASSES, ("owl", "cat", "dog"))
    assert mixed.metrics == same.metrics  # with their drops
    assert same.estimates["accuracy_drop"].value == 0.5 - 0.75


def test_a_baseline_may_have_other_classes_that_no_image_is_of():
    ours = _evidence([0, 1, 2, 2], [0, 1, 2, -1])
    same = with_drops(ours, _evidence([0, 1, 2, 2], [0, -1, 2, 1]), CLASSES, CLASSES)
    # The baseline takes the dog for an emu, or for a class that has no name.
    for predicted in (2, 9):
        theirs = _evidence([0, 1, 3, 3], [0, predicted, 3, 1])
        mixed = with_drops(ours, theirs, CLASSES, ("cat", "dog", "emu", "owl"))
        assert mixed.metrics == same.metrics


@pytest.mark.parametrize(
    ("theirs", "classes", "message"),
    [
        (_evidence([0, 1], [0, 1]), CLASSES, "on the same images and labels"),
        (_evidence([0, 1, 1], [0, 1, 1]), CLASSES, "on the same images and labels"),
        (_evidence([0, 1, 2], [0, 1, 2]), ("cat", "dog", "cow"), "Expected a baseline of the"),
        (failed_evidence("performance", "error", "it crashed"), CLASSES, "got none: it crashed"),
    ],
)
def test_what_cannot_be_paired_says_why(theirs, classes, message):
    with pytest.raises(AuditError, match=message):
        with_drops(_evidence([0, 1, 2], [0, 1, 2]), theirs, CLASSES, classes)


def _values(better, values):
    table = pd.DataFrame({"label": [0, 1, 2, 2], "error": values})
    metrics = {"error": Metric("error", better=better, pairing=Pairing("error", "mean"))}
    return Evidence(check="own", sentence="", images=table, metrics=metrics)


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1)])
def test_a_drop_above_0_is_worse_whichever_way_is_better(better, sign):
    model, baseline = [0.9, 0.8, 0.9, 0.8], [0.1, 0.2, 0.1, 0.2]
    found = with_drops(_values(better, model), _values(better, baseline), CLASSES, CLASSES)
    drop = found.metrics["error"].drop
    plain = paired_mean_difference(np.array(baseline), np.array(model))
    assert drop.value == pytest.approx(sign * plain.value)
    assert plain.value == pytest.approx(-0.7)
    assert sorted([drop.low, drop.high]) == pytest.approx(
        sorted([sign * plain.low, sign * plain.high])
    )


@pytest.mark.parametrize("values", [[0.9, np.nan, 0.9, 0.8], [0.9, 1.5, 0.9, 0.8]])
def test_values_that_are_nan_or_out_of_range_cannot_be_paired(values):
    for pair in ((values, [0.5] * 4), ([0.5] * 4, values)):
        ours, theirs = (_values("higher", one) for one in pair)
        with pytest.raises(AuditError, match=r"Expected a value in \[0, 1\] for each image in"):
            with_drops(ours, theirs, CLASSES, CLASSES)


def test_a_column_that_is_missing_cannot_be_paired():
    ours = _values("higher", [0.5] * 4)
    bare = ours.model_copy(update={"images": ours.images.drop(columns="error")})
    for pair in ((ours, bare), (bare, ours)):
        with pytest.raises(AuditError, match="Expected a column 'error' for each image in own"):
            with_drops(*pair, CLASSES, CLASSES)


def test_classes_that_a_table_of_all_checks_has_made_floats_are_paired():
    ours, theirs = _evidence([0, 1, 2, 2], [0, 1, 2, -1]), _evidence([0, 1, 2, 2], [0, 2, 2, 1])
    floats = [one.model_copy(update={"images": one.images.astype(float)}) for one in (ours, theirs)]
    found = with_drops(*floats, CLASSES, CLASSES)
    assert found.metrics == with_drops(ours, theirs, CLASSES, CLASSES).metrics
