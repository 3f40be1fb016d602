"""Intervals of shares, differences and means agree with scipy, published tables and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import difference, mean, paired_difference, proportion, wilson


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
    assert wilson(23 / 37, 37) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_five_of_five_do_not_prove_perfection():
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


# (both, only a, only b, neither) and limits: Newcombe 1998, Statistics in Medicine 17:2635, table
# III, method 10. The formula gives .87367 where the table has .8736.
NEWCOMBE = [
    ((36, 12, 2, 0), 0.0569, 0.3404),
    ((20, 12, 2, 16), 0.0562, 0.3292),
    ((18, 12, 2, 18), 0.0562, 0.3290),
    ((36, 14, 0, 0), 0.1528, 0.4167),
    ((35, 14, 0, 1), 0.1461, 0.4175),
    ((18, 14, 0, 18), 0.1441, 0.3963),
    ((2, 97, 1, 0), 0.8721, 0.9854),
    ((1, 97, 1, 1), 0.8736, 0.9850),
    ((0, 29, 1, 0), 0.6666, 0.9882),
    ((2, 98, 0, 0), 0.9178, 0.9945),
    ((1, 98, 0, 1), 0.9171, 0.9916),
    ((0, 30, 0, 0), 0.8395, 1.0),
    ((54, 0, 0, 0), -0.0664, 0.0664),
    ((53, 0, 0, 1), -0.0729, 0.0729),
    ((30, 0, 0, 24), -0.0358, 0.0358),
    ((29, 0, 0, 25), -0.0354, 0.0354),
    ((28, 0, 0, 26), -0.0352, 0.0352),
    ((27, 0, 0, 27), -0.0351, 0.0351),
]


def _pairs(both, only_a, only_b, neither):
    counts = [both, only_a, only_b, neither]
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    return np.repeat(a, counts), np.repeat(b, counts)


@pytest.mark.parametrize(("counts", "low", "high"), NEWCOMBE)
def test_a_paired_difference_has_newcombes_published_interval(counts, low, high):
    found = paired_difference(*_pairs(*counts))
    assert found.value == pytest.approx((counts[1] - counts[2]) / sum(counts))
    assert (found.low, found.high) == pytest.approx((low, high), abs=8e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "shares"),
    [
        (20, (0.6, 0.25, 0.05, 0.1)),
        (60, (0.9, 0.05, 0.02, 0.03)),
        (60, (0.3, 0.1, 0.1, 0.5)),
        (150, (0.05, 0.80, 0.05, 0.1)),
    ],
)
def test_a_paired_difference_covers_the_truth_and_its_width_says_how_the_two_go_together(n, shares):
    random, held, paired, unpaired = np.random.default_rng(1), 0, 0.0, 0.0
    for counts in random.multinomial(n, shares, size=400):
        a, b = _pairs(*counts)
        found, apart = paired_difference(a, b), difference(proportion(a), proportion(b))
        held += found.low <= shares[1] - shares[2] <= found.high
        paired += found.high - found.low
        unpaired += apart.high - apart.low
    assert 0.93 <= held / 400 <= 0.995
    alike = shares[0] * shares[3] > shares[1] * shares[2]
    assert paired < 0.97 * unpaired if alike else paired > 1.03 * unpaired


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


@pytest.mark.parametrize("wrong", [[1, 0, 1], [0.2, 0.3, 0.0]])
def test_hits_that_are_no_bools_are_refused(wrong):
    right, wrong = np.array([True, False, True]), np.array(wrong)
    for call in (
        lambda: proportion(wrong),
        lambda: paired_difference(right, wrong),
        lambda: paired_difference(wrong, right),
    ):
        with pytest.raises(TypeError, match=r"Expected hits as an array of bool, got \w+64"):
            call()
