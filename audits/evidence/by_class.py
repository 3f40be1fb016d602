"""Precision, recall and F1 of each class, with intervals."""

from typing import NamedTuple

import numpy as np

from audits.evidence.estimate import Estimate
from audits.evidence.f1 import Resamples, outer
from audits.evidence.intervals import wilson


class Shares(NamedTuple):
    """A figure of each of K classes with its 95 % interval, float (K,) each; NaN if undefined."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class ByClass(NamedTuple):
    """The figures of K classes; the interval of each class holds for itself."""

    images: np.ndarray  # int64 (K,)
    named: np.ndarray  # int64 (K,), images that are named as the class
    hits: np.ndarray  # int64 (K,), images of the class that are named as it
    recall: Shares  # of the images of the class, those named as it; undefined without images
    precision: Shares  # of the images named as the class, those of it; undefined if none is
    f1: Shares  # undefined without images


def by_class(truth: np.ndarray, predicted: np.ndarray, classes: int) -> ByClass:
    """The figures of `classes` classes; `truth` and `predicted` are int (n,), -1 for no class.

    Recall and precision have Wilson's interval, precision for the number of predictions as it is.
    F1 has the interval of `scores`: each limit is the outer one of the bootstrap within classes,
    centred on the value, and of Wilson's interval of the recall times 2 n / (n + m), with n images
    of the class and m predictions of it.
    """
    inside = np.where((predicted >= 0) & (predicted < classes), predicted, -1)
    images = np.bincount(truth[truth >= 0], minlength=classes)
    named = np.bincount(inside[inside >= 0], minlength=classes)
    hits = np.bincount(truth[(truth >= 0) & (truth == inside)], minlength=classes)
    recall = _shares(hits, images)
    resampled = Resamples(truth, [inside], classes).f1_of_classes(0)
    f1 = np.full((3, classes), np.nan)
    for one in np.flatnonzero(images):
        slope = 2 * images[one] / (images[one] + named[one])
        least = Estimate(
            float(slope * recall.value[one]),
            float(slope * recall.low[one]),
            float(min(slope * recall.high[one], 1)),
            int(images[one]),
        )
        found = outer(least, resampled[:, one], 0.0)
        f1[:, one] = found.value, found.low, found.high
    return ByClass(images, named, hits, recall, _shares(hits, named), Shares(*f1))


def _shares(hits: np.ndarray, counts: np.ndarray) -> Shares:
    found = np.full((3, len(counts)), np.nan)
    for one in np.flatnonzero(counts):
        share = hits[one] / counts[one]
        found[:, one] = share, *wilson(share, counts[one])
    return Shares(*found)
