"""The calibration error is that of torchmetrics and scikit-learn, and its interval covers it."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from audits.evidence.calibration import (
    bin_of,
    calibration_error,
    expected_error,
    reliability,
)
from audits.evidence.estimate import UNMEASURED
from audits.evidence.intervals import wilson


def _drawn(n=450, surer=0.0, seed=0):
    """Confidences of a model that is surer than right by `surer`, hits, labels of 10 classes."""
    rng = np.random.default_rng(seed)
    confidence = 1 - 0.9 * rng.beta(1, 4, n)
    return confidence, rng.random(n) < confidence - surer, rng.integers(0, 10, n)


@pytest.mark.parametrize("bins", [2, 10, 15])
def test_the_error_is_that_of_torchmetrics(bins):
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.full(5, 0.4), 400)
    label = np.array([rng.choice(5, p=row) for row in probability])
    label[:150] = rng.integers(0, 5, 150)
    oracle = metrics.multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(label), 5, n_bins=bins, norm="l1"
    )
    right = probability.argmax(1) == label
    assert expected_error(probability.max(1), right, bins) == pytest.approx(float(oracle), abs=1e-6)


def test_bins_are_those_of_scikit_learn():
    confidence, right, _ = _drawn(surer=0.1)
    share, mean = calibration_curve(right, confidence, n_bins=15)
    table = reliability(confidence, right, 15)
    np.testing.assert_allclose(table["accuracy"], share)
    np.testing.assert_allclose(table["confidence"], mean)
    assert table["images"].sum() == 450
    error = (table["images"] * (table["accuracy"] - table["confidence"]).abs()).sum() / 450
    assert error == pytest.approx(expected_error(confidence, right, 15))
    assert (table["low"] <= table["accuracy"]).all()


def test_each_confidence_has_a_bin_and_edges_belong_to_the_bin_below():
    assert bin_of(np.array([0, 0.1, 0.2, 0.21, 0.5, 1.0]), 5).tolist() == [0, 0, 0, 1, 2, 4]
    assert bin_of(np.nextafter(1.0, 0) * np.ones(1), 100).tolist() == [99]


def test_of_one_confidence_the_error_is_its_distance_from_the_accuracy():
    right = np.arange(200) < 120
    found = calibration_error(np.full(200, 0.9), right, np.zeros(200, int), 15)
    assert found.error.value == pytest.approx(0.3)
    assert found.error.low <= 0.3 - 0.03
    # A calibrated model is off by |N(0, .9 x .1 / 200)|, whose mean is sqrt(2 / pi) of its spread.
    assert found.calibrated.value == pytest.approx(np.sqrt(2 / np.pi * 0.09 / 200), rel=0.08)


def test_the_error_of_a_calibrated_model_is_that_of_the_closed_form():
    confidence, right, label = _drawn(4000)
    place = bin_of(confidence, 15)
    variance = np.bincount(place, weights=confidence * (1 - confidence))
    expected = np.sqrt(2 / np.pi * variance).sum() / 4000
    found = calibration_error(confidence, right, label, 15)
    assert found.calibrated.value == pytest.approx(expected, rel=0.03)
    assert found.calibrated.low < expected < found.calibrated.high
    assert found.error.low == 0
    assert found.error.n == found.calibrated.n == 4000


def test_it_is_the_same_each_time_and_without_images_nothing():
    assert calibration_error(*_drawn(), 15) == calibration_error(*_drawn(), 15)
    empty = np.zeros(0)
    found = calibration_error(empty, empty.astype(bool), empty.astype(int), 15)
    assert found == (UNMEASURED, UNMEASURED)


def test_five_images_that_are_right_and_sure_prove_nothing():
    found = calibration_error(np.ones(5), np.ones(5, bool), np.zeros(5, int), 15)
    assert found.error.value == found.calibrated.value == 0
    assert found.error.high == pytest.approx(1 - wilson(1.0, 5)[0])
    assert found.error.high > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("surer", [0.0, 0.05, 0.15])
def test_the_interval_covers_the_true_error(surer):
    confidence, _, _ = _drawn(200_000, seed=9)
    apart = np.minimum(confidence, surer) * (confidence - surer > 0) + 0.0
    place = bin_of(confidence, 15)
    true = np.abs(np.bincount(place, weights=apart)).sum() / 200_000
    found = [calibration_error(*_drawn(450, surer, seed), 15).error for seed in range(80)]
    assert np.mean([one.low > true + 1e-9 for one in found]) <= 0.06
    assert np.mean([one.high < true for one in found]) <= 0.06
    assert np.mean([one.high - one.low for one in found]) < 0.15
    if surer == 0.15:
        assert min(one.low for one in found) > 0.02  # it is seen each time
