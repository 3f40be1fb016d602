"""Bounded means agree with Clopper and Pearson, a published bound and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audits.evidence.intervals import bounded_mean, mean, paired_mean_difference, wilson

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=40).map(np.array)


@given(SHARES)
def test_a_bounded_mean_is_in_its_interval_and_the_interval_in_the_bounds(values):
    found = bounded_mean(values)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low > 1 / (len(values) + 1) / 2
    assert bounded_mean(values[::-1]) == found
    turned = bounded_mean(10 - 20 * values, -10, 10)
    limits = pytest.approx((10 - 20 * found.high, 10 - 20 * found.low), abs=0.6)
    assert (turned.low, turned.high) == limits


@pytest.mark.parametrize(("hits", "n"), [(2, 2), (0, 7), (30, 40), (90, 100)])
def test_a_bounded_mean_of_hits_has_clopper_and_pearsons_interval(hits, n):
    interval = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    found = bounded_mean((np.arange(n) < hits).astype(float))
    # The limits come from 10,000 random weightings.
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=0.03)


def test_a_bounded_mean_is_that_of_learned_miller_and_thomas():
    """Their bound is 1 minus the spacings of the data, weighted by uniform order statistics."""
    values = np.random.default_rng(4).beta(6, 2, 25)
    uniform = np.sort(np.random.default_rng(5).random((20_000, 25)), axis=1)
    ordered = np.append(np.sort(values), 1.0)
    upper = np.quantile(1 - uniform @ np.diff(ordered), 0.975)
    assert bounded_mean(values).high == pytest.approx(upper, abs=0.003)


def test_images_that_agree_prove_a_bounded_mean_no_sooner_than_hits_do():
    assert bounded_mean(np.ones(2)).low == pytest.approx(0.025**0.5, abs=0.01)
    assert bounded_mean(np.ones(340)).low < 0.99 < bounded_mean(np.ones(400)).low
    same = np.full(30, 0.8)
    assert paired_mean_difference(same, same).low < -0.08
    assert paired_mean_difference(same, same).high > 0.08


DISTRIBUTIONS = {
    "hits": (lambda random, n: (random.random(n) < 0.9) * 1.0, 0.9),
    "mostly 1": (lambda random, n: np.where(random.random(n) < 0.9, 1, random.random(n)), 0.95),
    "skewed": (lambda random, n: random.beta(10, 1, n), 10 / 11),
}


@pytest.mark.parametrize("n", [2, 10, 30])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_bounded_mean_covers_the_truth_where_students_interval_does_not(name, n):
    draw, truth = DISTRIBUTIONS[name]
    random, held, student = np.random.default_rng(2), 0, 0
    for _ in range(200):
        values = draw(random, n)
        found, usual = bounded_mean(values), mean(values)
        held += found.low <= truth <= found.high
        student += usual.low <= truth <= usual.high
    assert held >= 190
    if n < 30 and name != "skewed":
        assert student < 150


def test_a_bounded_mean_of_many_images_is_much_narrower_than_that_of_hits():
    values = np.random.default_rng(6).beta(20, 1, 450)
    found, student = bounded_mean(values), mean(values)
    low, high = wilson(values.mean(), 450)  # as if they were hits
    assert found.high - found.low < 0.5 * (high - low)
    assert found.high - found.low < 2 * (student.high - student.low)


def test_a_paired_mean_difference_covers_the_truth():
    random, held = np.random.default_rng(3), 0
    for _ in range(200):
        a = random.beta(8, 2, 25)
        b = np.where(random.random(25) < 0.2, 0.5 * a, a)  # the mean of b is .1 x .8 lower
        found = paired_mean_difference(a, b)
        assert found.value == pytest.approx(a.mean() - b.mean())
        held += found.low <= 0.08 <= found.high
    assert held >= 190


def test_a_bounded_mean_of_no_images_is_not_finite_and_of_one_is():
    assert not bounded_mean(np.array([])).finite
    assert not paired_mean_difference(np.array([]), np.array([])).finite
    assert bounded_mean(np.array([0.5])).finite


@pytest.mark.parametrize("wrong", [1.2, -0.1, np.nan])
def test_values_out_of_their_bounds_have_no_bounded_mean(wrong):
    values = np.array([0.5, wrong])
    with pytest.raises(ValueError, match=r"Expected values in \[0, 1\], got .*Give the bounds"):
        bounded_mean(values)
    with pytest.raises(ValueError, match="Give the bounds"):
        paired_mean_difference(np.array([0.5, 0.5]), values)


def test_rounding_just_beyond_a_bound_is_taken_for_the_bound():
    assert bounded_mean(np.array([1 + 1e-7, 1.0])).high == 1


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.993])
def test_other_confidences_are_those_of_clopper_and_pearson(confidence):
    hits = np.arange(40) < 28
    exact = stats.binomtest(28, 40).proportion_ci(confidence, method="exact")
    found = bounded_mean(hits.astype(float), confidence=confidence)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.006)
    pairs = paired_mean_difference(hits, np.zeros(40), confidence=confidence)
    assert pairs == bounded_mean(hits.astype(float), -1, 1, confidence)
