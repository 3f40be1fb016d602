"""Images needed, tail probabilities and Holm's method are right for intervals and bounds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audits.evidence.bounds import holm, images_needed, tail_probability
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import proportion, wilson


def _share(hits, n):
    return proportion(np.arange(n) < hits)


@pytest.mark.parametrize(
    ("hits", "n", "bound"),
    [(60, 100, 0.65), (60, 100, 0.55), (160, 200, 0.77), (90, 100, 0.93), (98, 100, 0.99)],
)
def test_as_many_images_as_are_needed_settle_it_in_four_cases_of_five(hits, n, bound):
    estimate = _share(hits, n)
    assert estimate.low < bound < estimate.high
    needed = images_needed(estimate, bound)
    assert needed.images > n
    assert needed.above == (hits / n > bound)
    assert _settled(hits / n, needed.images, bound) == pytest.approx(0.8, abs=0.04)
    assert _settled(hits / n, needed.images // 2, bound) < 0.65


def _settled(truth, images, bound):
    """The share of 4,000 simulated audits whose interval is on the truth's side of the bound."""
    hits = np.random.default_rng(0).binomial(images, truth, 4000)
    limits = np.array([wilson(k / images, images) for k in hits])
    return float((limits[:, 0] > bound if truth > bound else limits[:, 1] < bound).mean())


def test_a_perfect_value_needs_the_images_that_take_its_limit_off_the_bound():
    needed = images_needed(_share(100, 100), 0.97)
    assert needed.above
    assert _share(needed.images, needed.images).low > 0.97
    assert _share(needed.images - 2, needed.images - 2).low < 0.97


def test_no_number_of_images_moves_a_value_off_its_bound():
    assert images_needed(_share(5, 10), 0.5) is None


def test_a_bound_next_to_the_value_needs_very_many_images():
    assert images_needed(Estimate(0.0, -0.1, 0.1, 100), 1e-200) is None
    assert images_needed(Estimate(0.0, -0.1, 0.1, 100), 1e-8).images > 1e9


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_tail_probability_at_a_limit_of_the_interval_is_a_fortieth(hits_and_n):
    estimate = _share(*hits_and_n)
    for limit in (estimate.low, estimate.high):
        if abs(limit - estimate.value) > 1e-9:
            assert tail_probability(estimate, limit) == pytest.approx(0.025)
    assert tail_probability(estimate, estimate.value) == 0.5


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.lists(st.floats(0, 3), min_size=2, max_size=20))
def test_the_tail_probability_falls_with_the_distance(below, above, distances):
    estimate = Estimate(0.5, 0.5 - below, 0.5 + above, 10)
    for side in (1, -1):
        found = [tail_probability(estimate, 0.5 + side * d) for d in sorted(distances)]
        assert all(0 <= p <= 0.5 for p in found)
        assert found == sorted(found, reverse=True)


def test_the_tail_probability_of_a_symmetric_interval_is_normal():
    estimate = Estimate(3.0, 3 - 1.959964, 3 + 1.959964, 50)
    for z in (0.5, 1.5, 2.5, 4):
        assert tail_probability(estimate, 3 + z) == pytest.approx(stats.norm.sf(z), rel=1e-5)
        assert tail_probability(estimate, 3 - z) == pytest.approx(stats.norm.sf(z), rel=1e-5)


@pytest.mark.parametrize(("n", "most"), [(30, 2.2), (100, 1.35), (450, 1.1)])
def test_the_tail_probability_of_a_share_is_that_of_the_score_test(n, most):
    ratios = []
    for hits in range(0, n + 1, max(n // 50, 1)):
        for bound in np.linspace(0.05, 0.95, 37):
            score = stats.norm.sf(abs(hits / n - bound) / np.sqrt(bound * (1 - bound) / n))
            if 0.001 <= score <= 0.5:
                ratios.append(tail_probability(_share(hits, n), bound) / score)
    assert len(ratios) > 200
    assert min(ratios) > 0.92
    assert max(ratios) < most


def test_a_value_that_could_not_have_come_from_the_bound_has_no_tail():
    assert tail_probability(Estimate(1.0, 0.9, 1.0, 30), 1.1) == 0
    assert np.isnan(tail_probability(Estimate(np.nan, 0, 1, 5), 0.5))


def test_holm_rejects_as_in_published_examples():
    # By hand from Holm 1979: .005 <= .05 / 4, .01 <= .05 / 3, but .03 > .05 / 2.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    # The 15 p-values of Benjamini and Hochberg 1995 (JRSS B 57:289). Methods that control the
    # familywise error at .05 reject three of them.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert holm(p, 0.05) == [True] * 3 + [False] * 12


@given(st.lists(st.sampled_from([0.001, 0.005, 0.01, 0.0125, 0.02, 0.025, 0.3]), max_size=6))
def test_holm_is_the_closure_of_bonferroni(p):
    """A hypothesis is rejected if Bonferroni's test rejects every intersection that contains it."""
    every = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in combinations(every, size)]
    rejected = {s for s in subsets if min(p[i] for i in s) <= 0.025 / len(s)}
    assert holm(p, 0.025) == [all(s in rejected for s in subsets if i in s) for i in every]


def test_a_missing_p_value_is_never_rejected_but_counts():
    assert holm([np.nan, 0.01], 0.025) == [False, True]
    assert holm([np.nan, 0.02], 0.025) == [False, False]
    assert holm([], 0.025) == []


def test_with_holm_seven_conditions_at_their_bounds_fail_a_model_as_seldom_as_one():
    random, audits, bound, n = np.random.default_rng(0), 4000, 0.9, 400
    of_hits = []
    for hits in range(n + 1):
        estimate = _share(hits, n)
        p = tail_probability(estimate, bound)
        of_hits.append((estimate.high < bound, p if estimate.value < bound else 1 - p))
    one_fails, p_values = (np.array(column) for column in zip(*of_hits, strict=True))
    drawn = random.binomial(n, bound, (audits, 7))
    union = one_fails[drawn].any(1).mean()
    with_holm = np.mean([any(holm(p, 0.025)) for p in p_values[drawn]])
    assert 0.14 < union < 0.23
    assert with_holm < 0.035
    # The same holds for exactly normal figures.
    z = random.standard_normal((audits, 7))
    assert (z < -1.959964).any(1).mean() == pytest.approx(1 - 0.975**7, abs=0.02)
    assert np.mean([any(holm(p, 0.025)) for p in stats.norm.cdf(z)]) < 0.031
