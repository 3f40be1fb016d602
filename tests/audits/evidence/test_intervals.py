"""Estimates against scikit-learn, scipy and published intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from audits.evidence.intervals import (
    Estimate,
    bootstrap_f1,
    difference,
    images_needed,
    mean,
    proportion,
    scores,
)


@pytest.fixture(scope="module")
def answers():
    """200 images of 4 classes, the last of which never occurs; 20 answers are -1, no class."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(0, 4, 200))
    predicted[rng.choice(200, 20, replace=False)] = -1
    return truth, predicted


def _f1(truth, predicted, average, classes=4):
    return f1_score(truth, predicted, labels=range(classes), average=average, zero_division=0)


def test_scores_are_those_of_scikit_learn_over_all_classes(answers):
    truth, predicted = answers
    found = scores(truth, predicted, 4)
    assert found["accuracy"].value == accuracy_score(truth, predicted)
    for average in ("macro", "weighted"):
        assert found[f"f1_{average}"].value == _f1(truth, predicted, average)
    assert {estimate.n for estimate in found.values()} == {200}


def test_a_class_that_never_occurs_costs_macro_f1(answers):
    truth, _ = answers
    found = scores(truth, truth, 4)
    assert found["f1_macro"].value == 0.75
    assert found["f1_weighted"].value == found["accuracy"].value == 1


def test_one_answer_for_all_is_no_better_than_one_class(answers):
    truth = np.repeat(np.arange(4), 25)
    found = scores(truth, np.full(100, 3), 4)
    assert found["accuracy"].value == 0.25
    assert found["f1_macro"].value == pytest.approx(0.4 / 4)


def test_answers_of_no_class_only_score_zero(answers):
    truth, _ = answers
    found = scores(truth, np.full(200, -1), 4)
    assert {estimate.value for estimate in found.values()} == {0.0}
    assert all(0 < estimate.high < 0.03 for estimate in found.values())


def test_images_without_a_true_class_are_misses_in_every_score():
    # Such is `agreement` of a network whose first answer is not finite.
    truth, predicted = np.array([-1, -1, 0, 1]), np.array([-2, -2, 0, 1])
    assert all(estimate.value < 1 for estimate in scores(truth, predicted, 2).values())


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_bootstrap_is_that_of_resampled_images(answers, average):
    truth, predicted = answers
    rng = np.random.default_rng(11)
    rows = rng.integers(0, 200, size=(1000, 200))
    slow = [_f1(truth[row], predicted[row], average) for row in rows]
    fast = bootstrap_f1(truth, predicted, 4, average)
    assert fast.shape == (1000,)
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    # A quantile of 1,000 resamples is itself uncertain by about .003 here.
    assert np.quantile(fast, levels) == pytest.approx(np.quantile(slow, levels), abs=0.012)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_bootstrap_is_the_same_every_time_and_whatever_the_order(answers, average):
    truth, predicted = answers
    once = bootstrap_f1(truth, predicted, 4, average)
    assert np.array_equal(once, bootstrap_f1(truth[::-1], predicted[::-1], 4, average))
    assert not np.array_equal(once, bootstrap_f1(truth, predicted, 4, average, seed=1))


def test_intervals_of_f1_hold_the_value_and_are_no_narrower_than_accuracys(answers):
    for found in (scores(*answers, 4), scores(answers[0], answers[0], 3)):
        width = found["accuracy"].high - found["accuracy"].low
        for estimate in found.values():
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        low = found["f1_weighted"].low
        assert found["f1_weighted"].high - low >= width - 1e-12


def test_scores_of_no_images_are_not_finite():
    nothing = np.array([], dtype=np.int64)
    assert not any(estimate.finite for estimate in scores(nothing, nothing, 3).values())


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_proportion_has_wilsons_interval(hits):
    n, p, z = len(hits), sum(hits) / len(hits), stats.norm.ppf(0.975)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = proportion(np.array(hits))
    assert (found.value, found.n) == (p, n)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach), abs=1e-12)
    assert found.finite
    assert found.low <= found.value <= found.high


def test_a_proportion_is_scipys_too():
    hits = np.arange(37) < 23
    interval = stats.binomtest(23, 37).proportion_ci(0.95, method="wilson")
    found = proportion(hits)
    assert (found.low, found.high) == (interval.low, interval.high)


def test_five_of_five_do_not_prove_perfection():
    right = np.arange(5)
    for estimate in scores(right % 2, right % 2, 2).values():
        assert estimate.value == 1
        assert estimate.low < 0.6
    assert proportion(np.ones(5, bool)).low == pytest.approx(0.5655, abs=1e-4)


def _share(hits, n):
    return proportion(np.arange(n) < hits)


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_a_difference_has_newcombes_published_interval(a, b, low, high):
    found = difference(_share(*a), _share(*b))
    assert found.value == pytest.approx(a[0] / a[1] - b[0] / b[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert found.n == min(a[1], b[1])


def test_a_difference_turned_round_is_the_same_with_the_other_sign():
    a, b = _share(50, 60), _share(20, 60)
    one, other = difference(a, b), difference(b, a)
    assert (one.low, one.value, one.high) == (-other.high, -other.value, -other.low)


@pytest.mark.parametrize(
    ("hits", "n", "bound"), [(60, 100, 0.65), (60, 100, 0.55), (160, 200, 0.77)]
)
def test_as_many_images_as_are_needed_settle_it(hits, n, bound):
    estimate = _share(hits, n)
    assert estimate.low < bound < estimate.high
    needed = images_needed(estimate, bound)
    assert needed > n
    # "About": Wilson's interval is lopsided, and more so the fewer images it has.
    enough = int(needed * 1.25)
    settled = _share(round(enough * hits / n), enough)
    assert not settled.low < bound < settled.high
    half = _share(round(needed / 2 * hits / n), round(needed / 2))
    assert half.low < bound < half.high


def test_no_number_of_images_moves_a_value_off_its_bound():
    assert images_needed(_share(5, 10), 0.5) is None


def test_a_bound_next_to_the_value_needs_very_many_images():
    needed = images_needed(Estimate(0.0, -0.1, 0.1, 100), 1e-200)
    assert needed is None or needed > 1e9


def test_a_mean_has_students_interval():
    values = np.array([0.2, 0.5, 0.9, 0.4])
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean(values)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_a_mean_of_one_image_or_none_is_not_finite():
    assert mean(np.array([0.5])).value == 0.5
    assert not mean(np.array([0.5])).finite
    assert not mean(np.array([])).finite


@pytest.mark.parametrize(
    "estimate",
    [
        Estimate(np.nan, 0, 1, 5),
        Estimate(0.5, np.nan, 1, 5),
        Estimate(0.5, 0, np.inf, 5),
        Estimate(0.5, 0.9, 0.1, 5),
        Estimate(0.1, 0.9, 1.0, 5),
        Estimate(0.5, 0, 1, 0),
    ],
)
def test_an_estimate_out_of_order_or_of_nothing_is_not_finite(estimate):
    assert not estimate.finite
