"""Accuracy and F1 of predicted classes, with intervals, alone and against a baseline.

F1 is an average over the classes that have images. A prediction of a class without images is an
error of the class that the image has; the F1 of a class that no image has is not defined.

Audits sample images within each class, so the number of images of a class is not random, and no
resample changes it. A bootstrap over all images loses classes with few images. The F1 of a lost
class is 0, so the interval can lie wholly below its own value.
"""

import numpy as np
from scipy import sparse
from sklearn.metrics import f1_score

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import (
    TAIL,
    difference,
    pair_correlation,
    paired_difference,
    proportion,
    wilson,
)

_RESAMPLES = 1000


def scores(
    truth: np.ndarray, predicted: np.ndarray, also: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Accuracy, macro F1 and weighted F1 over all images, by scikit-learn.

    `truth` and `predicted` are int (n,). F1 is over the classes in `truth` and those in `also`. A
    prediction of -1 is no class and counts as a miss. An image whose truth is -1 is a miss too and
    lowers F1 by its share. Accuracy has Wilson's interval. The interval of F1 is in [0, 1] and
    contains the value; each limit is the outer one of two intervals: the bootstrap within classes,
    centred on the value because F1 of few images is biased, and `_as_recalls`, which has a width
    even if all images are right. NaN for no images.
    """
    accuracy = proportion(truth == predicted)
    if len(truth) == 0:
        return {"accuracy": accuracy, "f1_macro": accuracy, "f1_weighted": accuracy}
    result = {"accuracy": accuracy}
    truth, (predicted,), classes = _numbered(truth, [predicted], also)
    resamples = Resamples(truth, [predicted], classes)
    for average in ("macro", "weighted"):
        least, _ = _as_recalls(truth, predicted, classes, average)
        result[f"f1_{average}"] = outer(least, resamples.f1(0, average), 0.0)
    return result


def paired_f1_difference(
    truth: np.ndarray, a: np.ndarray, b: np.ndarray, average: str, seed: int = 0
) -> Estimate:
    """F1 of predictions `a` minus F1 of `b` over the same images, int (n,) each.

    `average` is "macro" or "weighted". The interval is in [-1, 1] and contains the value; each
    limit is the outer one of two intervals: the bootstrap within classes, in pairs and centred on
    the value, and Newcombe's method 10 for the two F1 as averages of recalls (`_as_recalls`). NaN
    for no images.
    """
    if len(truth) == 0:
        return paired_difference(truth == a, truth == b)
    truth, (a, b), classes = _numbered(truth, [a, b])
    resamples = Resamples(truth, [a, b], classes, seed)
    first, weights_a = _as_recalls(truth, a, classes, average)
    second, weights_b = _as_recalls(truth, b, classes, average)
    weights = weights_a + weights_b
    weights *= weights.sum() / np.square(weights).sum()  # their sum: the effective number of images
    known = truth >= 0
    correlation = pair_correlation(known & (truth == a), known & (truth == b), weights)
    resampled = resamples.f1(0, average) - resamples.f1(1, average)
    return outer(difference(first, second, correlation), resampled, -1.0)


def bootstrap_f1(
    truth: np.ndarray, predicted: np.ndarray, average: str, seed: int = 0
) -> np.ndarray:
    """F1 of 1,000 resamples of the images within each true class, (1000,).

    The same seed gives the same figures, in any order of the images.
    """
    truth, models, classes = _numbered(truth, [predicted])
    return Resamples(truth, models, classes, seed).f1(0, average)


def _numbered(
    truth: np.ndarray, models: list[np.ndarray], also: np.ndarray | None = None
) -> tuple[np.ndarray, list[np.ndarray], int]:
    """Truth and predictions with the classes of `truth` and `also` as 0, 1, ..., all others as -1.

    Returns the number of these classes too, 1 if there is none.
    """
    classes = np.unique(truth if also is None else np.concatenate([truth, also]))
    classes = classes[classes >= 0]
    if len(classes) == 0:
        classes = np.array([0])

    def numbered(given: np.ndarray) -> np.ndarray:
        places = np.searchsorted(classes, given).clip(max=len(classes) - 1)
        return np.where(classes[places] == given, places, -1)

    return numbered(truth), [numbered(model) for model in models], len(classes)


def outer(least: Estimate, resampled: np.ndarray, lowest: float) -> Estimate:
    """`least` with its limits widened to those of the centred bootstrap, in [lowest, 1]."""
    low, high = np.quantile(resampled, [TAIL, 1 - TAIL]) - resampled.mean() + least.value
    return Estimate(
        least.value,
        max(min(float(low), least.low), lowest),
        min(max(float(high), least.high), 1.0),
        least.n,
    )


def _as_recalls(
    truth: np.ndarray, predicted: np.ndarray, classes: int, average: str
) -> tuple[Estimate, np.ndarray]:
    """F1 as a weighted average of recalls, with Wilson's interval, and the images' weights (n,).

    With n_k images of class k and m_k predictions of it, F1_k = recall_k * 2 n_k / (n_k + m_k), so
    with m_k held fixed an average of F1 is a weighted sum of recalls. Its interval is Wilson's for
    the effective number of images of these weights, (sum w)^2 / sum w^2 (Kish 1965), times their
    sum. Images whose truth is -1 are a class of their own that is never recalled.
    """
    n, known, labels = len(truth), truth >= 0, range(classes)
    f1 = f1_score(truth, predicted, labels=labels, average=average, zero_division=0)
    value = float(known.mean()) * float(f1)
    images = np.bincount(truth[known], minlength=classes)
    predictions = np.bincount(predicted[predicted >= 0], minlength=classes)
    if average == "macro":
        an_image = known.mean() / (classes * np.maximum(images, 1))
    else:
        an_image = np.full(classes, 1 / n)
    slope = 2 * images / np.maximum(images + predictions, 1)
    weights = np.full(n, 1 / n)
    weights[known] = (an_image * slope)[truth[known]]
    total = float(weights.sum())
    effective = total**2 / float(np.square(weights).sum())
    low, high = wilson(min(value / total, 1.0), effective)
    return Estimate(value, min(total * low, value), max(total * high, value), n), weights


class Resamples:
    """1,000 resamples of the images within each class, with the predictions of some models.

    Images whose truth is -1 are resampled among themselves. Drawing the n_k images of a class with
    replacement is a multinomial draw over the (truth, predicted ...) rows that occur in it, which
    costs far less than 1,000 calls of scikit-learn.
    """

    def __init__(
        self, truth: np.ndarray, models: list[np.ndarray], classes: int, seed: int = 0
    ) -> None:
        rows, counts = np.unique(np.stack([truth, *models]), axis=1, return_counts=True)
        self._truth, self._models, self._classes = rows[0], rows[1:], classes
        self._drawn = np.empty((_RESAMPLES, len(counts)))
        generator = np.random.default_rng(seed)
        starts = np.flatnonzero(np.r_[True, np.diff(rows[0]) != 0])
        for start, stop in zip(starts, [*starts[1:], len(counts)], strict=True):
            images = int(counts[start:stop].sum())
            shares = counts[start:stop] / images
            self._drawn[:, start:stop] = generator.multinomial(images, shares, size=_RESAMPLES)

    def f1(self, model: int, average: str) -> np.ndarray:
        """F1 of one model, (1000,), times the share of images that have a true class."""
        support = self._count(self._truth)[0]  # the same in every resample
        f1 = self.f1_of_classes(model)
        images = self._drawn[0].sum()
        if average == "macro":
            return f1.mean(1) * support.sum() / images
        return f1 @ support / images

    def f1_of_classes(self, model: int) -> np.ndarray:
        """F1 of each class of one model, (1000, K); 0 for a class that is not drawn."""
        predicted = self._models[model]
        true_positive = self._count(np.where(predicted == self._truth, predicted, -1))
        total = self._count(self._truth)[0] + self._count(predicted)
        return np.divide(2 * true_positive, total, out=np.zeros_like(total), where=total > 0)

    def _count(self, classes: np.ndarray) -> np.ndarray:
        """How often each class is drawn, (1000, K); `classes` has a class for each row, or -1."""
        (rows,) = np.nonzero(classes >= 0)
        chosen = sparse.csr_array(
            (np.ones(len(rows)), (rows, classes[rows])), shape=(len(classes), self._classes)
        )
        return np.asarray(self._drawn @ chosen)
