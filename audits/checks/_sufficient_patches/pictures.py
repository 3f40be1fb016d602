"""The pictures of `sufficient_patches`: an image, the patches that suffice, and the rest of it."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from audits.checks._shared.images import class_in, picture, sliders, value_in
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows

STEPS: dict[Shows, str] = {
    "looked_at": "the image",
    "enough": "kept patches",
    "rest": "the rest",
}
"""The pictures of one image, in their order."""

LEGEND = (
    "The pictures are an image of each class; the fewest patches of it that were found with which "
    "the model gives the same answer, all else blank; and the image with these patches blank.",
    "Below each stands what the model reads. If it reads the last as the first, the patches are "
    "enough for the answer and not needed.",
)
_AS_BLANK = "named as the blank image"


def shown(audit: AuditContext, unit: Unit, views: Tensor) -> Part:
    """`shown_label` (m,) and `shown` uint8 (m, 3, H, W, 3) of the m images that are shown.

    `views` are of all images of the unit, float (n, 2, C, H, W).
    """
    rows = np.flatnonzero(np.isin(unit.indices, unit.shown)).tolist()
    steps = np.zeros((len(rows), len(STEPS), *audit.shape[1:], 3), np.uint8)
    for at, row in enumerate(rows):
        image = audit.images.tensor([unit.indices[row]])[0]
        steps[at] = [picture(one) for one in (image, *views[row])]
    labels = audit.images.labels[[unit.indices[row] for row in rows]]
    return {"shown_label": labels.astype(np.int64), "shown": steps}


def pictures(
    check: str,
    audit: AuditContext,
    parts: Sequence[Part],
    table: pd.DataFrame,
    shown_image: Callable[[AuditContext, int], int | None],
) -> tuple[Picture, ...]:
    """A slider for each class that is shown."""

    def seen(label: int) -> list[Seen]:
        index = shown_image(audit, label)
        if index is None:
            return [Seen(shows, None, label) for shows in STEPS]
        read, rest = (class_in(table, index, name) for name in ("read", "rest"))
        missing = "" if value_in(table, index, "counts") else _AS_BLANK
        return [
            Seen("looked_at", index, label, read),
            Seen("enough", index, label, read, missing=missing),
            Seen("rest", index, label, rest, missing=missing),
        ]

    return sliders(parts, check, "", audit.classes, tuple(STEPS.values()), seen)
