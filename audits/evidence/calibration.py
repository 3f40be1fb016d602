"""Calibration: does a model that says 80 % have it right 80 times of 100?

The expected calibration error (Naeini et al. 2015, AAAI; Guo et al. 2017, arXiv 1706.04599) sorts
images into bins by their confidence and is the mean distance between confidence and accuracy of the
bins. It is above 0 for a model that is calibrated perfectly, since the accuracy of few images is
off by chance (Vaicenavicius et al. 2019, AISTATS). So it stands beside the error that a calibrated
model with the very same confidences would have.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import TAIL, proportion, wilson

_RESAMPLES = 1000
_SEED = 0


class CalibrationError(NamedTuple):
    """The error of a model, and that of a calibrated model with the same confidences."""

    error: Estimate
    calibrated: Estimate  # the mean of 1,000 simulations, and the middle 95 % of them


def bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each confidence, int64 (n,); bin b has those in (b / bins, (b + 1) / bins].

    A confidence of 0 is in the first bin.
    """
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def expected_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The expected calibration error; `confidence` is float (n,) in [0, 1], `right` bool (n,)."""
    distance = np.bincount(bin_of(confidence, bins), weights=right - confidence, minlength=bins)
    return float(np.abs(distance).sum() / len(right))


def calibration_error(
    confidence: np.ndarray, right: np.ndarray, label: np.ndarray, bins: int
) -> CalibrationError:
    """The expected calibration error, its interval, and the error of a calibrated model.

    `confidence` is float (n,) in [0, 1], `right` bool (n,), `label` int (n,). The interval is for
    the error without the part that chance adds: a bootstrap of 1,000 resamples within classes,
    centred on the value, whose lower end is lower by the error of a calibrated model. It reaches at
    least as far from the value as Wilson's interval of images that all agree: without that, five
    images that are right and sure would prove an error of 0. The same images in the same order give
    the same figures. UNMEASURED for no images.
    """
    n = len(right)
    if n == 0:
        return CalibrationError(UNMEASURED, UNMEASURED)
    generator = np.random.default_rng(_SEED)
    place = bin_of(confidence, bins)
    apart = right - confidence
    order = np.argsort(label, kind="stable")
    _, starts, counts = np.unique(label[order], return_index=True, return_counts=True)
    first, size = np.repeat(starts, counts), np.repeat(counts, counts)
    resampled, simulated = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    for at in range(_RESAMPLES):
        drawn = order[first + (generator.random(n) * size).astype(np.int64)]
        distance = np.bincount(place[drawn], weights=apart[drawn], minlength=bins)
        resampled[at] = np.abs(distance).sum() / n
        by_chance = (generator.random(n) < confidence) - confidence
        distance = np.bincount(place, weights=by_chance, minlength=bins)
        simulated[at] = np.abs(distance).sum() / n
    value = expected_error(confidence, right, bins)
    low, high = np.quantile(resampled, [TAIL, 1 - TAIL]) - resampled.mean() + value
    reach = 1 - wilson(1.0, n)[0]
    low, high = min(float(low), value - reach), max(float(high), value + reach)
    null = float(simulated.mean())
    null_low, null_high = np.quantile(simulated, [TAIL, 1 - TAIL])
    return CalibrationError(
        Estimate(value, max(low - null, 0.0), min(high, 1.0), n),
        Estimate(null, min(float(null_low), null), max(float(null_high), null), n),
    )


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int) -> pd.DataFrame:
    """A row for each bin with images: mean confidence beside accuracy with Wilson's interval."""
    place = bin_of(confidence, bins)
    rows = []
    for one in np.unique(place):
        own = place == one
        accuracy = proportion(right[own])
        rows.append(
            {
                "above": one / bins,
                "up_to": (one + 1) / bins,
                "images": int(own.sum()),
                "confidence": float(confidence[own].mean()),
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
            }
        )
    return pd.DataFrame(rows)
