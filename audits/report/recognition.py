"""Recognition: which class the model saw in each image, drawing or filled image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric


@dataclass(frozen=True)
class Recognition:
    """True and predicted classes of the images of one check, int64 (n,), -1 for no class."""

    title: str  # "own drawing recognised"
    metric: str  # "<check>/<metric>"
    index: np.ndarray  # of the images in the data set
    label: np.ndarray
    predicted: np.ndarray

    def of_image(self, index: int | None) -> int | None:
        """The predicted class of an image; None if the check did not see it."""
        at = np.flatnonzero(self.index == index)
        return int(self.predicted[at[0]]) if len(at) else None

    def hits(self, label: int) -> tuple[int, int]:
        """The images of a class that are recognised, and all images of it."""
        own = self.label == label
        return int((self.predicted[own] == label).sum()), int(own.sum())

    def share(self, label: int) -> float:
        """The share of the images of a class that are recognised; NaN if there are none."""
        hits, count = self.hits(label)
        return hits / count if count else float("nan")

    def mistaken(self, label: int) -> tuple[int, int] | None:
        """The class that images of a class are most often mistaken for, and how often."""
        wrong = self.predicted[(self.label == label) & (self.predicted != label)]
        if not len(wrong):
            return None
        values, counts = np.unique(wrong, return_counts=True)
        return int(values[counts.argmax()]), int(counts.max())

    def confusion(self, classes: int) -> np.ndarray:
        """Counts (classes, classes + 1) of true by predicted class; the last column is no class."""
        table = np.zeros((classes, classes + 1), dtype=np.int64)
        known = (self.label >= 0) & (self.label < classes)
        seen = np.where((self.predicted >= 0) & (self.predicted < classes), self.predicted, -1)
        np.add.at(table, (self.label[known], seen[known]), 1)
        return table


def of_real_images(evidence: Sequence[Evidence]) -> Recognition | None:
    """The classes that the model sees in the images as they are; None if no check asked."""
    found = (_first(one, about_learning=False) for one in evidence)
    return next((one for one in found if one is not None), None)


def of_drawings(evidence: Sequence[Evidence]) -> list[Recognition]:
    """The classes that the model sees in what it has drawn itself, one of each check."""
    found = (_first(one, about_learning=True) for one in evidence)
    return [one for one in found if one is not None]


def _first(evidence: Evidence, *, about_learning: bool) -> Recognition | None:
    """The recognition behind the first accuracy of a check that a sentence tells."""
    table = evidence.images
    for name, metric in evidence.metrics.items():
        if table is not None and _tells(metric) and metric.about_learning == about_learning:
            assert metric.pairing is not None
            if metric.pairing.column in table and "label" in table:
                columns = (table["label"], table[metric.pairing.column])
                label, predicted = (column.to_numpy(dtype=np.int64) for column in columns)
                index = table.index.to_numpy()
                title = f"{evidence.check}/{name}"
                return Recognition(metric.title, title, index, label, predicted)
    return None


def _tells(metric: Metric) -> bool:
    accuracy = metric.pairing is not None and metric.pairing.statistic == "accuracy"
    return accuracy and bool(metric.clause) and (metric.null is not None) == metric.about_learning
