"""Compares estimates with bounds: tail probabilities, images needed, and Holm's procedure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import TAIL

_Z = float(stats.norm.ppf(1 - TAIL))
_POWER = 0.8


@dataclass(frozen=True)
class ImagesNeeded:
    """A number of images that would settle a condition, and on which side of its bound."""

    images: int  # in all, with those of today
    above: bool  # the value is above the bound


def images_needed(estimate: Estimate, bound: float, level: float = TAIL) -> ImagesNeeded | None:
    """About the number of images with which the interval excludes `bound` in 80 % of cases.

    The true value is taken to be today's. z_.975 standard errors at the bound and z_.8 standard
    errors at the value then add up to the distance between the two, and standard errors shrink with
    the root of n. With a one-sided `level` other than .025, z_.975 is that of the level. None if
    the value is on the bound.
    """
    distance = abs(estimate.value - bound)
    if distance < 1e-9:
        return None
    reach = float(stats.norm.isf(level)) * _standard_error(estimate, bound)
    reach += float(stats.norm.ppf(_POWER)) * _standard_error(estimate, estimate.value)
    images = int(np.ceil(estimate.n * (reach / distance) ** 2)) + 1
    return ImagesNeeded(images, estimate.value > bound)


def tail_probability(estimate: Estimate, bound: float) -> float:
    """The probability of a value as far from `bound` as this one, if the truth were at `bound`.

    The probability is one-sided, on the value's side of the bound: it is in [0, .5], and .025 if
    `bound` is a limit of the interval. For the other side take 1 minus it. NaN if the estimate is
    not finite. It is approximated from the limits alone, with a normal distribution and the
    standard error of `_standard_error`; benchmarks/coverage.py compares it with exact values.
    """
    if not estimate.finite:
        return float("nan")
    distance, error = abs(estimate.value - bound), _standard_error(estimate, bound)
    if distance == 0:
        return 0.5
    return float(stats.norm.sf(distance / error)) if error > 0 else 0.0


def _standard_error(estimate: Estimate, truth: float) -> float:
    """The standard error of the estimate if `truth` were true, from its limits alone.

    If the truth is at a limit, the error is the distance from the value to that limit over z_.975.
    The square of the error follows the straight line through these two points: for Wilson's
    interval the true square is concave, so the line is above it beyond the limits and at most a
    little below it between them. The distance is never taken as less than half the shorter of the
    two, because other lopsided intervals tell less about a truth far away.
    """
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    variance = below * above + (above - below) * (truth - estimate.value)
    return float(np.sqrt(max(variance, (min(below, above) / 2) ** 2))) / _Z


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Whether each hypothesis is rejected, in the order given.

    The probability that any true one is rejected is at most `level`, for any dependence between
    them. Holm 1979 (Scandinavian Journal of Statistics 6:65), step-down: the smallest of m p-values
    is compared with level / m, the next with level / (m - 1), until one is larger. `level` is .025
    for one-sided p-values that go with 95 % intervals. A NaN is never rejected, but counts.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)  # NaN comes last
    kept = ~(p[order] <= level / np.arange(len(p), 0, -1))
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = ~np.logical_or.accumulate(kept)
    return [bool(one) for one in rejected]
