"""Estimates with intervals: how sure a figure over n images is."""

import numpy as np
from scipy import stats
from sklearn.metrics import f1_score

from audits.evidence.estimate import Estimate

CONFIDENCE = 0.95
_RESAMPLES = 1000


def proportion(hits: np.ndarray) -> Estimate:
    """The share of True with Wilson's score interval; NaN for no images.

    Not the bootstrap, whose interval is a point when all images agree: with it, five images right
    of five would prove an accuracy of 1.
    """
    n = len(hits)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    result = stats.binomtest(int(np.count_nonzero(hits)), n)
    interval = result.proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(float(result.statistic), float(interval.low), float(interval.high), n)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of two proportions over the same images (Newcombe 1998, method 10).

    It takes the two as independent, which is on the wide side when the same images please both.
    """
    value = a.value - b.value
    return Estimate(
        value,
        value - float(np.hypot(a.value - a.low, b.high - b.value)),
        value + float(np.hypot(a.high - a.value, b.value - b.low)),
        min(a.n, b.n),
    )


def scores(truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Estimate]:
    """Accuracy, macro F1 and weighted F1 over all images, by scikit-learn with labels=range(K).

    `truth` and `predicted` are int (n,); a prediction of -1 is no class and thus a miss, and so is
    an image whose truth is -1, which takes its share off F1. Accuracy
    has Wilson's interval, F1 the bootstrap over images, taken no narrower than accuracy's.
    """
    n, labels = len(truth), range(classes)
    accuracy = proportion(truth == predicted)
    result = {"accuracy": accuracy}
    for average in ("macro", "weighted"):
        if n == 0:
            result[f"f1_{average}"] = accuracy
            continue
        known = float((truth >= 0).mean())
        value = known * float(
            f1_score(truth, predicted, labels=labels, average=average, zero_division=0)
        )
        low, high = np.quantile(
            bootstrap_f1(truth, predicted, classes, average),
            [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2],
        )
        low = min(float(low), value - (accuracy.value - accuracy.low))
        high = max(float(high), value + (accuracy.high - accuracy.value))
        result[f"f1_{average}"] = Estimate(value, max(low, 0.0), min(high, 1.0), n)
    return result


def bootstrap_f1(
    truth: np.ndarray, predicted: np.ndarray, classes: int, average: str, seed: int = 0
) -> np.ndarray:
    """F1 of 1,000 resamples of the images, (1000,); the same resamples every time."""
    (f1,) = _resampled_f1(truth, [predicted], classes, average, seed)
    return f1


def _resampled_f1(
    truth: np.ndarray, models: list[np.ndarray], classes: int, average: str, seed: int
) -> list[np.ndarray]:
    """F1 of what each model predicted, over the same resamples of the images.

    Drawing n images with replacement is a multinomial draw over the (truth, predicted ...) rows
    that occur, which costs far less than 1,000 calls of scikit-learn.
    """
    rows, counts = np.unique(np.stack([truth, *models]), axis=1, return_counts=True)
    n = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=_RESAMPLES)
    is_true = rows[0][:, None] == np.arange(classes)
    support = drawn @ is_true.astype(float)
    result = []
    for predicted in rows[1:]:
        is_predicted = predicted[:, None] == np.arange(classes)
        true_positive = drawn @ (is_true & is_predicted).astype(float)
        total = support + drawn @ is_predicted.astype(float)
        f1 = np.divide(2 * true_positive, total, out=np.zeros_like(total), where=total > 0)
        weighted = f1.mean(1) * support.sum(1) if average == "macro" else (f1 * support).sum(1)
        result.append(weighted / n)
    return result


def paired_difference(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Share of True in `a` minus that in `b`, bool (n,) of the same images, in pairs.

    Newcombe 1998 (Statistics in Medicine 17:2635), method 10 with its continuity correction: like
    Wilson's interval it has a width also where the two agree on every image.
    """
    first, second, n = proportion(a), proportion(b), len(a)
    if n == 0:
        return first
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    product = both * neither - only_a * only_b
    margins = float(
        np.sqrt(float(both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither))
    )
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    phi = corrected / margins if margins else 0.0
    value = first.value - second.value

    def reach(x: float, y: float) -> float:
        return float(np.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0)))

    return Estimate(
        value,
        value - reach(first.value - first.low, second.high - second.value),
        value + reach(first.high - first.value, second.value - second.low),
        n,
    )


def paired_f1_difference(
    truth: np.ndarray, a: np.ndarray, b: np.ndarray, classes: int, average: str, seed: int = 0
) -> Estimate:
    """F1 of predictions `a` minus F1 of `b` over the same images, int (n,) each.

    The interval is the bootstrap's over images, in pairs, taken no narrower than that of the
    difference of accuracies.
    """
    accuracy = paired_difference(truth == a, truth == b)
    if len(truth) == 0:
        return accuracy
    known = float((truth >= 0).mean())
    value = known * float(
        f1_score(truth, a, labels=range(classes), average=average, zero_division=0)
        - f1_score(truth, b, labels=range(classes), average=average, zero_division=0)
    )
    of_a, of_b = _resampled_f1(truth, [a, b], classes, average, seed)
    low, high = np.quantile(of_a - of_b, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low = min(float(low), value - (accuracy.value - accuracy.low))
    high = max(float(high), value + (accuracy.high - accuracy.value))
    return Estimate(value, max(low, -1.0), min(high, 1.0), len(truth))


def images_needed(estimate: Estimate, bound: float) -> int | None:
    """About how many images in all would move the interval off `bound`; None if it is on it.

    Intervals shrink with the root of n.
    """
    distance = abs(estimate.value - bound)
    if distance < 1e-9:
        return None
    reach = (
        estimate.value - estimate.low if estimate.value > bound else estimate.high - estimate.value
    )
    return int(np.ceil(estimate.n * (reach / distance) ** 2)) + 1


def mean(values: np.ndarray) -> Estimate:
    """The mean of a figure an image, with Student's interval; NaN for fewer than two images."""
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else np.nan, np.nan, np.nan, n)
    centre, error = float(values.mean()), float(stats.sem(values))
    reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    return Estimate(centre, centre - reach, centre + reach, n)


def mean_share(values: np.ndarray) -> Estimate:
    """The mean of a share in [0, 1] an image, with Wilson's interval, wide for any such figure.

    Shares vary less than hits of the same mean, and like hits they may all agree.
    """
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value, z = float(values.mean()), float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(value, max(float(centre - reach), 0.0), min(float(centre + reach), 1.0), n)
