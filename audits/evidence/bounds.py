"""Estimates held against bounds: how likely by chance, and how many images would settle it."""

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
    """How many images in all would settle a condition, and on which side of its bound."""

    images: int
    above: bool


def images_needed(estimate: Estimate, bound: float) -> ImagesNeeded | None:
    """About how many images in all would settle on which side of `bound` the figure is.

    With so many images the interval leaves the bound in 80 % of cases, if today's value is the
    truth: z_.975 standard errors at the bound and z_.8 at the value are then the distance between
    the two, and standard errors shrink with the root of n. None if the value is on the bound.
    """
    distance = abs(estimate.value - bound)
    if distance < 1e-9:
        return None
    reach = _Z * _standard_error(estimate, bound)
    reach += float(stats.norm.ppf(_POWER)) * _standard_error(estimate, estimate.value)
    images = int(np.ceil(estimate.n * (reach / distance) ** 2)) + 1
    return ImagesNeeded(images, estimate.value > bound)


def tail_probability(estimate: Estimate, bound: float) -> float:
    """The probability of a value as far from `bound` as this one, if the truth were at `bound`.

    One-sided, on the side on which the value is: in [0, .5], and .025 if `bound` is a limit of the
    interval. A figure on the other side of its bound has 1 minus it. NaN if the estimate is not
    finite. An approximation from the limits alone, with the value taken as normal and the standard
    error of `_standard_error`; benchmarks/coverage.py holds it against exact ones.
    """
    if not estimate.finite:
        return float("nan")
    distance, error = abs(estimate.value - bound), _standard_error(estimate, bound)
    if distance == 0:
        return 0.5
    return float(stats.norm.sf(distance / error)) if error > 0 else 0.0


def _standard_error(estimate: Estimate, truth: float) -> float:
    """The standard error of the estimate if `truth` were true, from its limits alone.

    At each limit it is the reach on that side over z_.975. Its square runs in a straight line
    through these two: for Wilson's interval the true square is concave, so that the line is above
    it beyond the limits and at most a little below it between them. It ends at half the shorter
    reach, because other lopsided intervals say less about what is far from them.
    """
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    variance = below * above + (above - below) * (truth - estimate.value)
    return float(np.sqrt(max(variance, (min(below, above) / 2) ** 2))) / _Z


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which of the hypotheses are rejected, in the order given.

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
