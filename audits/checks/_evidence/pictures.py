"""The pictures of `evidence`: an image of each class, and where the answer for it rests."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from audits.checks._evidence.maps import UNSIGNED, MethodName
from audits.checks._shared.images import class_in, picture, signed_picture, sliders
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows

STEPS: dict[Shows, str] = {"looked_at": "the image", "evidence": "where its answer rests"}
"""The pictures of one image, in their order."""

_HIGHEST = 0.85  # opacity of the strongest evidence


def legend(method: MethodName) -> tuple[str, ...]:
    """Sentences that say how to read the pictures."""
    first = "An image of each class in grey, with the map of the class that the model gives it."
    if method in UNSIGNED:
        return (first, "The redder a place, the more the answer rests on it; this map has no sign.")
    return (
        first,
        "Red places speak for the answer, blue ones against it; the paler, the less. The scale is "
        "each map's own.",
    )


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


def heat(image: Tensor, values: Tensor) -> np.ndarray:
    """The image (C, H, W) in grey under its map (H, W), uint8 (H, W, 3).

    Red is positive, blue negative, and 0 shows the image alone.
    """
    grey = picture(image.mean(0, keepdim=True)).astype(float)
    colour = signed_picture(values[None]).astype(float)
    strength = values.abs() / values.abs().max().clamp(min=1e-12)
    opacity = _HIGHEST * strength.double().numpy()[:, :, None]
    mixed: np.ndarray = (grey * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return mixed


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
