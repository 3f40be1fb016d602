"""Estimates of shares and means with 95 % intervals, alone and of paired data."""

import numpy as np
from scipy import stats

from audits.evidence.estimate import Estimate

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
_Z = float(stats.norm.ppf(1 - TAIL))
# The limits of `bounded_mean` then vary by about 1 % of half the width from seed to seed.
_WEIGHTINGS = 10_000
_BLOCK_VALUES = 4_000_000  # 16 MiB of weights at a time


def proportion(hits: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """The share of True in `hits`, bool (n,), with Wilson's score interval; NaN for no images.

    Wilson's interval (1927) has a width even if all images agree. A bootstrap interval has none:
    five images right of five would prove an accuracy of 1.
    """
    _expect_bool(hits)
    n = len(hits)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    result = stats.binomtest(int(np.count_nonzero(hits)), n)
    interval = result.proportion_ci(confidence, method="wilson")
    return Estimate(float(result.statistic), float(interval.low), float(interval.high), n)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share in [0, 1] of `n` images.

    `n` may be an effective number of images, which need not be whole.
    """
    centre = (share + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    reach = _Z * np.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n)) / (1 + _Z * _Z / n)
    return min(max(float(centre - reach), 0.0), share), max(min(float(centre + reach), 1.0), share)


def difference(a: Estimate, b: Estimate, correlation: float = 0.0) -> Estimate:
    """a - b of two shares in [0, 1], with an interval in [-1, 1].

    The shares are independent unless a `correlation` in [-1, 1] is given; for two shares of the
    same images use `paired_difference`. Newcombe 1998 (Statistics in Medicine 17:873), method 10.
    """
    value = a.value - b.value

    def reach(x: float, y: float) -> float:
        return float(np.sqrt(max(x * x + y * y - 2 * correlation * x * y, 0.0)))

    low = value - reach(a.value - a.low, b.high - b.value)
    high = value + reach(a.high - a.value, b.value - b.low)
    return Estimate(value, max(low, -1.0), min(high, 1.0), min(a.n, b.n))


def paired_difference(a: np.ndarray, b: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Share of True in `a` minus that in `b`, bool (n,) of the same images; NaN for no images.

    Newcombe 1998 (Statistics in Medicine 17:2635), method 10 with its continuity correction. Like
    Wilson's interval it has a width even if the two agree on every image. For m comparisons at
    once, a `confidence` of 1 - .05 / m keeps them all at 95 % (Bonferroni).
    """
    _expect_bool(a, b)
    if len(a) == 0:
        return proportion(a)
    return difference(proportion(a, confidence), proportion(b, confidence), pair_correlation(a, b))


def pair_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Correlation of `a` and `b`, bool (n,) of the same images, with Newcombe's correction.

    The correction takes half an image off a positive association (Newcombe 1998, section 5, method
    10). `weights`, float (n,), are the weights of the images; their sum is the effective number of
    images. Default 1 each.
    """
    w = np.ones(len(a)) if weights is None else weights
    both, neither = float(w[a & b].sum()), float(w[~a & ~b].sum())
    only_a, only_b = float(w[a & ~b].sum()), float(w[~a & b].sum())
    product = both * neither - only_a * only_b
    if product > 0:
        product = max(product - float(w.sum()) / 2, 0.0)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    return product / float(np.sqrt(margins)) if margins > 0 else 0.0


def mean(values: np.ndarray) -> Estimate:
    """The mean of values without bounds, such as counts, float (n,), with Student's interval.

    The interval is NaN for fewer than two images; the value is NaN for no images. For values with
    bounds use `bounded_mean`: Student's interval has no width if all images agree.
    """
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else np.nan, np.nan, np.nan, n)
    centre, error = float(values.mean()), float(stats.sem(values))
    reach = error * float(stats.t.ppf(1 - TAIL, n - 1))
    return Estimate(centre, centre - reach, centre + reach, n)


def bounded_mean(
    values: np.ndarray, low: float = 0.0, high: float = 1.0, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean of values in [low, high], float (n,), with an interval in [low, high].

    Gaffke's interval (Gaffke 2005; Learned-Miller and Thomas 2019, arXiv 1905.06208): the quantiles
    of means with random weights, uniform on the simplex, in which one more image has the value
    `low` for the lower limit and `high` for the upper. The interval is Clopper and Pearson's if
    all values are `low` or `high`. No distribution on [low, high] is known whose mean it covers
    less often than 95 %; this is proven for two values only. The interval has a width even if all
    images agree. `confidence` is as in `paired_difference`. The same values give the same limits,
    in any order. NaN for no images; ValueError for values that are out of range or NaN.
    """
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    _expect_within(values, low, high)
    shares = np.clip((np.sort(values.astype(float)) - low) / (high - low), 0, 1)
    single = shares.astype(np.float32)  # takes half the time; its rounding is too small to matter
    generator = np.random.default_rng(0)
    at_low, at_high = [], []
    block = max(_BLOCK_VALUES // (n + 1), 1)
    for start in range(0, _WEIGHTINGS, block):
        size = (min(block, _WEIGHTINGS - start), n + 1)
        weights = generator.standard_exponential(size, dtype=np.float32)
        total = weights.sum(1)
        weighted = weights[:, :n] @ single
        at_low.append(weighted / total)
        at_high.append((weighted + weights[:, n]) / total)
    value = float(shares.mean())
    tail = (1 - confidence) / 2
    lower = min(float(np.quantile(np.concatenate(at_low), tail)), value)
    upper = max(float(np.quantile(np.concatenate(at_high), 1 - tail)), value)
    value, lower, upper = (low + (high - low) * x for x in (value, lower, min(upper, 1.0)))
    return Estimate(value, lower, upper, n)


def paired_mean_difference(
    a: np.ndarray,
    b: np.ndarray,
    low: float = 0.0,
    high: float = 1.0,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Mean of `a` minus mean of `b`, floats (n,) in [low, high] of the same images.

    The interval is that of `bounded_mean` for the differences, which are in [low - high,
    high - low]. NaN for no images; ValueError for values that are out of range or NaN.
    """
    _expect_within(a, low, high)
    _expect_within(b, low, high)
    differences = a.astype(float) - b.astype(float)
    return bounded_mean(differences, low - high, high - low, confidence)


def _expect_bool(*arrays: np.ndarray) -> None:
    for array in arrays:
        if len(array) and array.dtype != bool:
            raise TypeError(f"Expected hits as an array of bool, got {array.dtype}.")


def _expect_within(values: np.ndarray, low: float, high: float) -> None:
    slack = 1e-6 * (high - low)  # for rounding in float32
    if not ((values >= low - slack) & (values <= high + slack)).all():
        raise ValueError(
            f"Expected values in [{low:g}, {high:g}], got {values.min():g} to {values.max():g}. "
            "Give the bounds of the figure, and no NaN."
        )
