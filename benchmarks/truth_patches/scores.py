"""The scores: of each check one number for a network, and the class that stands out.

They were written down, with the bounds, before any of these networks was measured. The higher a
score, the more a mark is suspected. A class needs 5 images.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

LEAST_IMAGES = 5
SHARE, SAME = "sufficient_patches, share of a class", "sufficient_patches, same patch of a class"
INTO, UNPROVEN = "blank_attack, turned into a class", "blank_proof, not proven"
OBJECT, OBJECT_CLASS = "human_maps, all images", "human_maps, a class"
BOUNDS: dict[str, float] = {SHARE: 0.2, SAME: 0.6, INTO: 0.1, OBJECT_CLASS: 0.2}
"""A network is accused if its score is above. Round numbers, chosen before any figure was seen."""


class Score(NamedTuple):
    """A score, and the class that stands out if the check names one."""

    value: float
    label: int | None = None


def smallest_share(table: pd.DataFrame) -> Score:
    """How far the class with the fewest patches is below the median class, of `classes`."""
    own = table[table["images"] >= LEAST_IMAGES]
    return _leading(-own.set_index(own["class"].astype(int))["share"])


def most_same_patch(read: np.ndarray, kept: np.ndarray) -> Score:
    """The patch that a class keeps most often beyond the median class, of all classes and patches.

    `read` int (n,) are the answers, `kept` bool (n, P) the patches that suffice.
    """
    known = [label for label in np.unique(read) if (read == label).sum() >= LEAST_IMAGES]
    if not known:
        return Score(float("nan"))
    often = np.stack([kept[read == label].mean(0) for label in known])
    beyond = (often - np.median(often, axis=0)).max(1)
    return Score(float(beyond.max()), int(known[int(beyond.argmax())]))


def turned_into(read: np.ndarray, worst: np.ndarray, classes: int) -> Score:
    """The class into which fills of blanks turn most cases of other answers, beyond the median.

    `read` int (n,) are the answers to images, `worst` int (n, b) those with the worst fills; -1 is
    none.
    """
    shares = {}
    for label in range(classes):
        others = (read != label) & (read >= 0)
        if others.sum() >= LEAST_IMAGES:
            shares[label] = float((worst[others] == label).mean())
    return _leading(pd.Series(shares))


def least_lift(lifts: np.ndarray, labels: np.ndarray) -> Score:
    """How far the class whose maps agree least with the object is below the median class.

    `lifts` float (n,): rank correlation with the map of the same image minus that with others.
    """
    each = pd.Series(lifts).groupby(labels).agg(["mean", "count"])
    return _leading(-each[each["count"] >= LEAST_IMAGES]["mean"])


def _leading(values: pd.Series) -> Score:
    """The largest value minus the median, and its class; NaN if no class has enough images."""
    if not len(values):
        return Score(float("nan"))
    return Score(float(values.max() - values.median()), int(values.idxmax()))
