"""The figures of `duplicates`: shares of copies, leaks and labels that contradict each other."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from audits.data.imageset import ImageSet
from audits.data.twins import Neighbours
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import proportion
from audits.evidence.metric import Metric

_MOST_ROWS = 1000  # of the table of pairs

COLUMN_WORDS = {
    "where": "the other is in",
    "class_of_other": "its class",
    "difference": "difference (0: none)",
    "file_of_other": "its file",
}
"""Columns of the table of pairs, in words."""


class Pairs(NamedTuple):
    """Pairs of copies, the nearest first: indices in two image sets, or twice in one."""

    image: np.ndarray  # int64 (n,)
    other: np.ndarray  # int64 (n,)
    distance: np.ndarray  # float32 (n,)
    mirrored: np.ndarray  # bool (n,)


class Side(NamedTuple):
    """Pairs with the image set of their other images."""

    pairs: Pairs
    others: ImageSet
    where: str  # "the training set"
    differ: np.ndarray  # whether the classes of a pair differ, bool (n,)


class Found(NamedTuple):
    """The pairs of copies among the images of an audit, and with those of its training set."""

    images: ImageSet
    indices: np.ndarray  # of the images that were looked at
    within: Pairs
    training: ImageSet | None = None
    leaks: Pairs | None = None

    def conflicts(self) -> np.ndarray:
        """Whether the labels of each pair within the images differ, bool (n,)."""
        labels = self.images.labels
        differ: np.ndarray = labels[self.within.image] != labels[self.within.other]
        return differ

    def leak_conflicts(self) -> np.ndarray:
        """Whether the class names of each leaked pair differ, bool (n,).

        If the training set names its classes otherwise, none of them does.
        """
        if self.training is None or self.leaks is None:
            return np.zeros(0, dtype=bool)
        if not set(self.training.classes) & set(self.images.classes):
            return np.zeros(len(self.leaks.image), dtype=bool)
        ours = np.array(self.images.classes)[self.images.labels[self.leaks.image]]
        theirs = np.array(self.training.classes)[self.training.labels[self.leaks.other]]
        differ: np.ndarray = ours != theirs
        return differ


def pairs_of(found: Neighbours, ours: np.ndarray, theirs: np.ndarray | None = None) -> Pairs:
    """The neighbours that are copies, by the indices of their images.

    `theirs` None means pairs within one set: each pair is named once, with the smaller index first.
    """
    row, column = np.nonzero(found.is_twin)
    distance, mirrored = found.distance[row, column], found.mirrored[row, column]
    image = ours[row]
    other = (ours if theirs is None else theirs)[found.position[row, column]]
    order = np.argsort(distance, kind="stable")
    if theirs is None:
        image, other = np.minimum(image, other), np.maximum(image, other)
        both = np.stack([image, other], axis=1)[order]
        first = np.unique(both, axis=0, return_index=True)[1]
        order = order[np.sort(first)]
    return Pairs(image[order], other[order], distance[order], mirrored[order])


def declared(has_training: bool) -> dict[str, Metric]:
    """The metrics of the check, not measured yet.

    No default policy judges them: they tell about the data, and images that merely look alike are
    among them.
    """
    metrics = {
        "copies": Metric("images that have a copy among the images", better="lower"),
        "label_conflicts": Metric("images whose copy has another label", better="lower"),
        "accuracy": Metric("images named right, with all copies"),
        "accuracy_distinct": Metric("images named right, one of each group of copies"),
    }
    if has_training:
        metrics |= {
            "leaked": Metric("images that have a copy in the training set", better="lower"),
            "accuracy_leaked": Metric("leaked images named right"),
            "accuracy_distinct": Metric(
                "images named right, none of them leaked, one of each group of copies"
            ),
        }
    return metrics


def images_table(answers: pd.DataFrame, found: Found) -> pd.DataFrame:
    """A row for each image: label, predicted class, its group of copies, conflict and leak.

    `group` is the least index of the images that are copies of each other, directly or over others.
    `leaked_from` is the index of the nearest copy in the training set, -1 for none.
    """
    index = answers.index.to_numpy()
    group = _groups(found.within, index)
    differ = found.conflicts()
    wrong = np.union1d(found.within.image[differ], found.within.other[differ])
    counts = pd.Series(group).map(pd.Series(group).value_counts()).to_numpy()
    leaked = np.full(len(index), -1)
    if found.leaks is not None:
        # The nearest pairs come first, so they are written last.
        row = np.searchsorted(index, found.leaks.image[::-1])
        leaked[row] = found.leaks.other[::-1]
    return answers.assign(
        group=group, has_copy=counts > 1, conflict=np.isin(index, wrong), leaked_from=leaked
    )


def _groups(pairs: Pairs, index: np.ndarray) -> np.ndarray:
    """The least index of each image's group of copies, int64 (n,); `index` is sorted."""
    rows, others = np.searchsorted(index, pairs.image), np.searchsorted(index, pairs.other)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, others)), shape=(len(index), len(index)))
    component = sparse.csgraph.connected_components(graph, directed=False)[1]
    first = np.unique(component, return_index=True)[1]
    groups: np.ndarray = index[first][component]
    return groups


def measured(table: pd.DataFrame, has_training: bool) -> dict[str, Metric]:
    """The metrics with their figures."""
    right = (table["predicted"] == table["label"]).to_numpy()
    leaked = table["leaked_from"].to_numpy() >= 0
    distinct = (table["group"].to_numpy() == table.index.to_numpy()) & ~leaked
    estimates = {
        "copies": proportion(table["has_copy"].to_numpy()),
        "label_conflicts": proportion(table["conflict"].to_numpy()),
        "accuracy": proportion(right),
        "accuracy_distinct": _share_of(right[distinct]),
    }
    if has_training:
        estimates |= {"leaked": proportion(leaked), "accuracy_leaked": _share_of(right[leaked])}
    metrics = declared(has_training)
    return {name: metrics[name].measured(estimate) for name, estimate in estimates.items()}


def _share_of(hits: np.ndarray) -> Estimate:
    return proportion(hits) if len(hits) else UNMEASURED


def pairs_table(found: Found) -> pd.DataFrame:
    """A row for each pair, those with different classes first, then leaks; the nearest first."""
    rows = []
    for pairs, others, where, differ in sides(found):
        for row in np.argsort(~differ, kind="stable")[:_MOST_ROWS]:
            image, other = int(pairs.image[row]), int(pairs.other[row])
            rows.append(
                {
                    "image": image,
                    "class": found.images.classes[found.images.labels[image]],
                    "where": where,
                    "other": other,
                    "class_of_other": others.classes[others.labels[other]],
                    "difference": float(pairs.distance[row]),
                    "mirrored": "yes" if pairs.mirrored[row] else "",
                    "file": file_of(found.images, image),
                    "file_of_other": file_of(others, other),
                    "differ": bool(differ[row]),
                }
            )
    columns = ("image", "class", "where", "other", "class_of_other", "difference", "mirrored")
    frame = pd.DataFrame(rows, columns=[*columns, "file", "file_of_other", "differ"])
    frame = frame.sort_values("differ", ascending=False, kind="stable").drop(columns="differ")
    empty = [name for name in ("mirrored", "file", "file_of_other") if not frame[name].any()]
    return frame.drop(columns=empty).head(_MOST_ROWS).reset_index(drop=True)


def sides(found: Found) -> list[Side]:
    """The leaks, if there is a training set, and the pairs within the images."""
    result = [Side(found.within, found.images, "the same data", found.conflicts())]
    if found.leaks is not None and found.training is not None:
        leaks = Side(found.leaks, found.training, "the training set", found.leak_conflicts())
        result.insert(0, leaks)
    return result


def file_of(images: ImageSet, index: int) -> str:
    """The file of an image with its folder; "" if it has none, or if the set is a sample."""
    if len(images.files) != len(images):
        return ""
    return "/".join(images.files[index].parts[-2:])


def sentence(table: pd.DataFrame, metrics: Mapping[str, Metric]) -> str:
    """The meaning of the figures, in plain words."""
    count, groups = len(table), table["group"].nunique()
    copies, conflicts = int(table["has_copy"].sum()), int(table["conflict"].sum())
    told = f"{copies} of {count} images have a copy among the images"
    told += f", so {groups} are distinct" if copies else ""
    told += f"; {conflicts} have a copy with another label." if copies else "."
    if "leaked" not in metrics:
        return told
    leaked = int((table["leaked_from"] >= 0).sum())
    told += f" {leaked} of {count} have a copy in the training set"
    with_all, without = (metrics[name].estimate for name in ("accuracy", "accuracy_distinct"))
    if not leaked or not without.finite:
        return f"{told}."
    return (
        f"{told}. The model names {with_all.value:.1%} of all images right, and "
        f"{without.value:.1%} of the {without.n} that are left without leaks and second copies."
    )
