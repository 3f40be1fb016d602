"""Figures by class are scikit-learn's, and their intervals contain them and cover the truth."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from audits.evidence.by_class import by_class
from audits.evidence.f1 import scores
from audits.evidence.intervals import proportion


@pytest.fixture(scope="module")
def answers():
    """300 images of classes 0 to 3 of 6; 4 is predicted and has none, 5 is neither; some -1."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 5, 300))
    predicted[rng.choice(300, 20, replace=False)] = -1
    return truth, predicted


def test_figures_are_those_of_scikit_learn(answers):
    found = by_class(*answers, 6)
    precision, recall, f1, support = precision_recall_fscore_support(
        *answers, labels=range(6), zero_division=np.nan
    )
    np.testing.assert_array_equal(found.images, support)
    np.testing.assert_allclose(found.recall.value, recall)
    np.testing.assert_allclose(found.precision.value, precision)
    np.testing.assert_allclose(found.f1.value[:4], f1[:4])
    assert np.isnan(found.f1.value[4:]).all()  # scikit-learn has 0 for a class without images
    matrix = confusion_matrix(*answers, labels=[*range(6), -1])
    np.testing.assert_array_equal(found.hits, np.diag(matrix)[:6])
    np.testing.assert_array_equal(found.named, matrix.sum(0)[:6])


def test_intervals_contain_their_values_and_recall_has_wilsons(answers):
    truth, predicted = answers
    found = by_class(truth, predicted, 6)
    for shares in (found.recall, found.precision, found.f1):
        known = np.isfinite(shares.value)
        assert (shares.low[known] <= shares.value[known]).all()
        assert (shares.value[known] <= shares.high[known]).all()
        assert (shares.low[known] >= 0).all()
        assert (shares.high[known] <= 1).all()
        assert (shares.low[known] < shares.high[known]).all()
    own = proportion(predicted[truth == 2] == 2)
    assert (found.recall.low[2], found.recall.high[2]) == pytest.approx((own.low, own.high))


def test_the_mean_of_f1_by_class_is_the_macro_f1(answers):
    found = by_class(*answers, 6)
    assert np.nanmean(found.f1.value) == pytest.approx(scores(*answers)["f1_macro"].value)


def test_a_class_of_one_image_has_a_wide_interval_and_no_other_order_changes_it():
    truth, predicted = np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0])
    found = by_class(truth, predicted, 2)
    assert found.recall.low[0] < 0.25
    assert found.f1.low[0] < 0.35
    turned = by_class(truth[::-1], predicted[::-1], 2)
    np.testing.assert_array_equal(np.stack(found.f1), np.stack(turned.f1))


def test_intervals_of_f1_cover_the_true_f1():
    """Of 200 draws of 25 images a class, the interval misses the F1 of a large sample in few."""
    rng = np.random.default_rng(0)
    table = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])

    def drawn(each):
        truth = np.repeat(range(3), each)
        return truth, np.concatenate([rng.choice(3, each, p=row) for row in table])

    true = by_class(*drawn(100_000), 3).f1.value
    found = [by_class(*drawn(25), 3).f1 for _ in range(200)]
    missed = np.mean([(one.low > true) | (one.high < true) for one in found], axis=0)
    assert (missed < 0.08).all()
    widths = np.mean([one.high - one.low for one in found], axis=0)
    assert (widths < 0.5).all()
