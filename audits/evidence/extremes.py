"""The lowest of several shares, and the largest gap, with intervals that allow for the choice.

Of many classes or slices the worst is chosen after all were looked at. A plain interval of the one
that looks worst covers its own share too seldom. The intervals here are for the share of the class
that truly is the worst, whichever that is:

- the lower limit is the least of the lower limits of all shares, each at 95 %. It needs no
  correction: if it is too high, the lower limit of the truly worst share is too high as well;
- the upper limit is the least of the upper limits of all m shares, each at 1 - .05 / m
  (Bonferroni), since any of them may be the one that is too low.

Limits are those of Clopper and Pearson (1934), which hold for few images too. Wilson's limits are
too narrow for one to ten images, and with many classes some have such luck.
"""

import numpy as np
from scipy import stats

from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import CONFIDENCE


def clopper_pearson(
    hits: np.ndarray, counts: np.ndarray, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits of shares, float (m,); `hits` of `counts` > 0 images, int (m,)."""
    tail = (1 - confidence) / 2
    misses = counts - hits
    low = np.where(hits == 0, 0.0, stats.beta.ppf(tail, np.maximum(hits, 1), misses + 1))
    high = np.where(misses == 0, 1.0, stats.beta.isf(tail, hits + 1, np.maximum(misses, 1)))
    return low, high


def corrected(m: int) -> float:
    """The confidence with which each of m intervals must hold, so that all do at 95 %."""
    return 1 - (1 - CONFIDENCE) / max(m, 1)


def lowest_share(hits: np.ndarray, counts: np.ndarray, n: int) -> Estimate:
    """The lowest of m shares, `hits` of `counts` > 0 images, int (m,), over `n` images in all.

    The value is the lowest share that was seen. It lies below the lowest true share on average,
    the more so the fewer the images and the more the shares. UNMEASURED without a share.
    """
    if not len(counts):
        return UNMEASURED
    low, _ = clopper_pearson(hits, counts)
    _, high = clopper_pearson(hits, counts, corrected(len(counts)))
    return Estimate(float((hits / counts).min()), float(low.min()), float(high.min()), n)


def gaps(
    hits: np.ndarray, counts: np.ndarray, right: int, n: int, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of all other images minus that of each of m parts, with limits, float (m,) each.

    `hits` of `counts` images, int (m,), are the parts of `n` images, of which `right` are hits.
    Newcombe 1998 (Statistics in Medicine 17:873), method 10, with the limits of Clopper and Pearson
    in place of Wilson's. NaN for a part that has all images.
    """
    others = n - counts
    some = others > 0
    found = np.full((3, len(counts)), np.nan)
    own, rest = hits[some] / counts[some], (right - hits[some]) / others[some]
    own_low, own_high = clopper_pearson(hits[some], counts[some], confidence)
    rest_low, rest_high = clopper_pearson(right - hits[some], others[some], confidence)
    value = rest - own
    found[0, some] = value
    found[1, some] = np.maximum(value - np.hypot(rest - rest_low, own_high - own), -1)
    found[2, some] = np.minimum(value + np.hypot(rest_high - rest, own - own_low), 1)
    return found[0], found[1], found[2]


def largest_gap(hits: np.ndarray, counts: np.ndarray, right: int, n: int) -> Estimate:
    """The largest of the `gaps`; UNMEASURED if no part leaves others.

    As for `lowest_share`, the limit on the far side, here the upper, needs no correction.
    """
    some = counts < n
    if not some.any():
        return UNMEASURED
    hits, counts = hits[some], counts[some]
    value, _, high = gaps(hits, counts, right, n)
    _, low, _ = gaps(hits, counts, right, n, corrected(len(counts)))
    return Estimate(float(value.max()), float(low.max()), float(high.max()), n)
