"""Intervals of the worst share and of the largest gap cover the truth, whatever looks worst."""

import numpy as np
import pytest
from scipy import stats

from audits.evidence.estimate import UNMEASURED
from audits.evidence.extremes import (
    clopper_pearson,
    corrected,
    gaps,
    largest_gap,
    lowest_share,
)
from audits.evidence.intervals import proportion


def test_limits_are_those_of_scipy():
    counts = np.array([1, 1, 7, 40, 300])
    hits = np.array([0, 1, 3, 40, 123])
    for confidence in (0.95, 0.9999):
        low, high = clopper_pearson(hits, counts, confidence)
        for at, (hit, count) in enumerate(zip(hits, counts, strict=True)):
            exact = stats.binomtest(int(hit), int(count)).proportion_ci(confidence, "exact")
            assert (low[at], high[at]) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_of_one_share_the_interval_is_its_own_and_many_shares_move_the_upper_limit_alone():
    one = lowest_share(np.array([15]), np.array([20]), 20)
    low, high = clopper_pearson(np.array([15]), np.array([20]))
    assert (one.value, one.low, one.high) == pytest.approx((0.75, low[0], high[0]))
    many = lowest_share(np.full(50, 15), np.full(50, 20), 1000)
    assert (many.value, many.low) == pytest.approx((0.75, one.low))
    assert many.high > one.high
    assert lowest_share(np.array([], int), np.array([], int), 0) is UNMEASURED


@pytest.mark.parametrize("each", [2, 10, 50])
@pytest.mark.parametrize("shape", ["all alike", "one is bad"])
def test_the_interval_of_the_lowest_share_covers_it_and_a_plain_one_does_not(each, shape):
    rng = np.random.default_rng(1)
    true = np.full(40, 0.9)
    if shape == "one is bad":
        true[7] = 0.6
    counts = np.full(40, each)
    drawn = [rng.binomial(counts, true) for _ in range(600)]
    found = [lowest_share(hits, counts, 40 * each) for hits in drawn]
    missed = np.mean([not one.low <= true.min() <= one.high for one in found])
    assert missed <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)
    if shape == "all alike" and each == 50:
        plain = [proportion(np.arange(each) < hits.min()) for hits in drawn]
        assert np.mean([one.high < 0.9 for one in plain]) > 0.5


def test_gaps_are_differences_to_all_other_images():
    hits, counts = np.array([5, 18, 30]), np.array([10, 20, 30])
    value, low, high = gaps(hits, counts, 53, 60)
    np.testing.assert_allclose(value, [48 / 50 - 0.5, 35 / 40 - 0.9, 23 / 30 - 1])
    assert (low < value).all()
    assert (value < high).all()
    assert low[0] > 0
    wider = gaps(hits, counts, 53, 60, corrected(3))
    assert (wider[1] < low).all()
    alone = gaps(np.array([7]), np.array([60]), 7, 60)
    assert np.isnan(alone).all()
    assert largest_gap(np.array([7]), np.array([60]), 7, 60) is UNMEASURED


def test_of_many_slices_without_a_difference_hardly_any_has_a_sure_gap():
    """40 slices of 30 images each, all named right equally often: 2.5 % of audits see a gap."""
    rng = np.random.default_rng(2)
    counts = np.full(40, 30)
    found = []
    for _ in range(600):
        hits = rng.binomial(counts, 0.85)
        found.append(largest_gap(hits, counts, int(hits.sum()), 1200))
    assert np.mean([one.low > 0 for one in found]) <= 0.025 + 3 * np.sqrt(0.025 / 600)
    assert min(one.value for one in found) > 0  # though some slice always looks worse
    assert all(one.low <= one.value <= one.high for one in found)


def test_a_bad_slice_among_many_is_found():
    rng = np.random.default_rng(3)
    counts, true = np.full(40, 60), np.full(40, 0.9)
    true[3] = 0.4
    hits = rng.binomial(counts, true)
    gap = largest_gap(hits, counts, int(hits.sum()), 2400)
    assert gap.low > 0.2
    assert gap.low <= 0.5 <= gap.high
