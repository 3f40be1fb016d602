"""The pictures of `evidence`: an image of each class, and where the answer for it rests."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from audits.checks._shared.heat import heat, signs_told
from audits.checks._shared.images import class_in, picture, sliders
from audits.checks._shared.maps import MethodName
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows

STEPS: dict[Shows, str] = {"looked_at": "the image", "evidence": "where its answer rests"}
"""The pictures of one image, in their order."""


def legend(method: MethodName) -> tuple[str, ...]:
    """Sentences that say how to read the pictures."""
    first = "An image of each class in grey, with the map of the class that the model gives it."
    return (first, signs_told(method))


def shown(audit: AuditContext, unit: Unit, maps: Tensor) -> Part:
    """`shown_label` (m,) and `shown` uint8 (m, 2, H, W, 3) of the m images that are shown.

    `maps` are float (n, H, W), of all images of the unit.
    """
    rows = np.flatnonzero(np.isin(unit.indices, unit.shown)).tolist()
    labels = audit.images.labels[[unit.indices[row] for row in rows]]
    if not rows:
        empty = np.zeros((0, len(STEPS), *audit.shape[1:], 3), np.uint8)
        return {"shown_label": labels.astype(np.int64), "shown": empty}
    images = audit.images.tensor([unit.indices[row] for row in rows])
    steps = [
        np.stack([picture(image), heat(image, maps[row])])
        for row, image in zip(rows, images, strict=True)
    ]
    return {"shown_label": labels, "shown": np.stack(steps)}


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
        read = None if index is None else class_in(table, index, "read")
        return [Seen(shows, index, label, read) for shows in STEPS]

    return sliders(parts, check, "", audit.classes, tuple(STEPS.values()), seen)
