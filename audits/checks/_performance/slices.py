"""Slices: the images with one value in a column of the data's table, and their accuracy."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from audits.errors import quoted
from audits.evidence.estimate import Estimate
from audits.evidence.extremes import clopper_pearson, corrected, gaps, largest_gap, lowest_share
from audits.evidence.metric import Metric

MOST_ROWS = 1000  # of a table; evidence.json and the page have it whole
_MISSING = "missing"

COLUMN_WORDS = {
    "gap": "below the other images by",
    "same_classes": "the other images, in the slice's mix of classes",
}
"""The columns of the table of slices, in words."""


def declared() -> dict[str, Metric]:
    """The metrics of slices, not measured yet."""
    return {
        "worst_slice_accuracy": Metric("images named right in the worst slice"),
        "worst_slice_gap": Metric(
            "accuracy of a slice below that of the other images, at most",
            better="lower",
            unit="difference",
        ),
    }


class Slices(NamedTuple):
    """All slices of some columns; each image is in one slice of each column."""

    column: tuple[str, ...]  # of each of S slices
    value: tuple[str | None, ...]  # None: the value is missing
    hits: np.ndarray  # int64 (S,), images named right
    counts: np.ndarray  # int64 (S,), images, at least 1
    same_classes: np.ndarray  # float (S,), see `_of_same_classes`
    right: int  # of all images
    n: int  # images
    least: int  # images of a slice that is judged

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Sequence[str | None]],
        label: np.ndarray,
        predicted: np.ndarray,
        least: int,
    ) -> Self:
        """The slices by `columns`, which have a value for each image; the classes are int (n,)."""
        right = label == predicted
        names: list[str] = []
        values: list[str | None] = []
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for column, given in columns.items():
            codes: dict[str | None, int] = {}
            of_image = np.array([codes.setdefault(one, len(codes)) for one in given])
            names += [column] * len(codes)
            values += codes
            hits = np.bincount(of_image[right], minlength=len(codes))
            same = _of_same_classes(of_image, label, right)
            found.append((hits, np.bincount(of_image), same))
        hits, counts, same = (np.concatenate(one) for one in zip(*found, strict=True))
        return cls(
            tuple(names), tuple(values), hits, counts, same, int(right.sum()), len(right), least
        )

    @property
    def judged(self) -> np.ndarray:
        """Whether a slice has images enough, bool (S,)."""
        return np.asarray(self.counts >= self.least)

    def metrics(self) -> dict[str, Estimate]:
        """The figures of `declared`, over the slices with images enough; UNMEASURED without any."""
        chosen = self.judged
        hits, counts = self.hits[chosen], self.counts[chosen]
        return {
            "worst_slice_accuracy": lowest_share(hits, counts, self.n),
            "worst_slice_gap": largest_gap(hits, counts, self.right, self.n),
        }

    def table(self) -> pd.DataFrame:
        """A row for each slice, the worst of those with images enough first, at most 1,000 rows.

        The intervals of all slices with images enough hold together (Bonferroni).
        """
        level = corrected(int(self.judged.sum()))
        low, high = clopper_pearson(self.hits, self.counts, level)
        gap, gap_low, gap_high = gaps(self.hits, self.counts, self.right, self.n, level)
        accuracy = self.hits / self.counts
        order = np.lexsort((-self.counts, accuracy, ~self.judged))[:MOST_ROWS]
        frame = pd.DataFrame(
            {
                "column": list(self.column),
                "value": [self._told(one) for one in range(len(self.column))],
                "images": self.counts,
                "accuracy": accuracy,
                "low": low,
                "high": high,
                "gap": gap,
                "gap_low": gap_low,
                "gap_high": gap_high,
                "same_classes": self.same_classes,
                "judged": np.where(self.judged, "yes", "too few images"),
            }
        )
        return frame.iloc[order].reset_index(drop=True)

    def sentence(self) -> str:
        """The slice that is named right least often, in plain words, and what is not judged."""
        count, few = int(self.judged.sum()), int((~self.judged).sum())
        told = ""
        if few:
            told = (
                f" {few:,} slice{'s have' if few > 1 else ' has'} fewer than {self.least} images "
                f"and {'are' if few > 1 else 'is'} not judged."
            )
        if not count:
            return f"No slice is judged.{told}"
        if (self.counts == self.n).all():
            return f"All images have one value, so no slice stands beside others.{told}"
        rows = np.flatnonzero(self.judged & (self.counts < self.n))
        if not len(rows):
            return f"No slice with images enough stands beside others.{told}"
        worst = int(min(rows, key=lambda at: (self.hits[at] / self.counts[at], -self.counts[at])))
        hits, images = int(self.hits[worst]), int(self.counts[worst])
        others = (self.right - hits) / (self.n - images)
        own, level = slice(worst, worst + 1), corrected(count)
        _, low, _ = gaps(self.hits[own], self.counts[own], self.right, self.n, level)
        return (
            f"Of {count:,} slice{'s' * (count > 1)}, {quoted(self.column[worst])} = "
            f"{self._quoted(worst)} is named right least often: {hits / images:.1%} of {images} "
            f"images, the others {others:.1%}"
            + ("; this may be chance." if low[0] <= 0 else ".")
            + told
        )

    def _told(self, at: int) -> str:
        """The value of a slice; a missing value has a name that is no value of the column."""
        value = self.value[at]
        if value is not None:
            return value
        own = {v for c, v in zip(self.column, self.value, strict=True) if c == self.column[at]}
        return f"{_MISSING} (no value)" if _MISSING in own else _MISSING

    def _quoted(self, at: int) -> str:
        value = self.value[at]
        return self._told(at) if value is None else quoted(value)


def _of_same_classes(of_image: np.ndarray, label: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The accuracy of the images outside each slice, weighted by the classes inside it, (S,).

    If a slice is named right less often only because its classes are difficult, this is as low. NaN
    for a slice with a class that no other image has. `of_image` has the slice of each image.
    """
    slices, classes = int(of_image.max()) + 1, int(label.max()) + 1
    cells, place = np.unique(of_image * classes + label, return_inverse=True)
    images = np.bincount(place)
    hits = np.bincount(place[right], minlength=len(cells))
    own_class = cells % classes
    others = np.bincount(label, minlength=classes)[own_class] - images
    other_hits = np.bincount(label[right], minlength=classes)[own_class] - hits
    recall = np.divide(other_hits, others, out=np.full(len(cells), np.nan), where=others > 0)
    weighted = np.bincount(cells // classes, weights=recall * images, minlength=slices)
    return np.asarray(weighted / np.bincount(of_image))
