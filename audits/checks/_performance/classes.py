"""The table of classes of `performance`, and its most confident wrong answers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audits.checks._performance.slices import MOST_ROWS
from audits.checks._shared.images import picture
from audits.checks.context import AuditContext
from audits.evidence.by_class import ByClass
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Picture, Seen
from audits.evidence.extremes import lowest_share

MISTAKES = 10
"""The wrong answers that are shown at most."""

COLUMN_WORDS = {
    "named": "images named so",
    "recall": "of its images, named so (recall)",
    "precision": "of those named so, its images (precision)",
    "f1": "F1",
    "mistaken_for": "most often mistaken for",
    "mistaken": "times",
}
"""The columns of the table of classes, in words."""


def lowest_recall(found: ByClass) -> Estimate:
    """The lowest recall of the classes with images, with an interval that allows for the choice."""
    some = found.images > 0
    return lowest_share(found.hits[some], found.images[some], int(found.images.sum()))


def classes_table(
    found: ByClass, label: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """A row for each class, that with the lowest F1 first and those without images last.

    At most 1,000 rows. Each interval holds at 95 % for itself.
    """
    order = np.lexsort((found.recall.value, found.f1.value))[:MOST_ROWS]  # NaN comes last
    mistaken = [_mistaken(label, predicted, one) for one in order.tolist()]
    columns: dict[str, object] = {
        "class": [classes[one] for one in order],
        "images": found.images[order],
        "named": found.named[order],
    }
    for name in ("recall", "precision", "f1"):
        shares = getattr(found, name)
        columns |= {name: shares.value[order]}
        columns |= {f"{name}_{end}": getattr(shares, end)[order] for end in ("low", "high")}
    columns["mistaken_for"] = [
        "" if not times else "no class" if other < 0 else classes[other]
        for other, times in mistaken
    ]
    columns["mistaken"] = [times for _, times in mistaken]
    return pd.DataFrame(columns)


def _mistaken(label: np.ndarray, predicted: np.ndarray, one: int) -> tuple[int, int]:
    """The class that images of a class are most often mistaken for, and how often; 0 for never."""
    wrong = predicted[(label == one) & (predicted != one)]
    if not len(wrong):
        return -1, 0
    values, counts = np.unique(wrong, return_counts=True)
    return int(values[counts.argmax()]), int(counts.max())


def told_worst(found: ByClass, classes: Sequence[str]) -> str:
    """The class with the lowest recall, as the end of a sentence; "" if all are named right."""
    some = np.flatnonzero(found.images)
    if not len(some) or (found.hits[some] == found.images[some]).all():
        return ""
    worst = int(min(some, key=lambda one: (found.recall.value[one], -found.images[one])))
    return f", {classes[worst]!r} least often ({found.hits[worst]} of {found.images[worst]})"


def mistakes(audit: AuditContext, check: str, table: pd.DataFrame) -> tuple[Picture, ...]:
    """The wrong answers with the highest confidence, at most ten, the surest first.

    `table` has a row for each image with `label`, `predicted` and `confidence`, which is NaN if the
    model gives predictions alone; then the first wrong ones are taken.
    """
    wrong = table[table["label"] != table["predicted"]]
    surest = wrong.sort_values("confidence", ascending=False, kind="stable").head(MISTAKES)
    found = []
    for step, (index, row) in enumerate(surest.iterrows()):
        sure = float(row["confidence"])
        seen = Seen(
            "mistaken",
            int(str(index)),
            int(row["label"]),
            int(row["predicted"]),
            probability=None if np.isnan(sure) else sure,
        )
        image = picture(audit.images.tensor([int(str(index))])[0])
        found.append(Picture(f"{check}/mistaken", step, image, "wrong answer", seen=seen))
    return tuple(found)
