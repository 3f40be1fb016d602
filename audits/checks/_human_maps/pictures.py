"""The pictures of `human_maps`: where the model looks, and where people do."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from audits.checks._shared.heat import heat, signs_told
from audits.checks._shared.images import class_in, picture, sliders
from audits.checks._shared.maps import Method
from audits.checks.context import AuditContext
from audits.data.human_maps import HumanMaps
from audits.evidence.evidence import Picture, Seen, Shows
from fillblanks.masks import to_pixels

STEPS: dict[Shows, str] = {
    "looked_at": "the image",
    "evidence": "where the model looks",
    "people": "where people look",
}
"""The pictures of one image, in their order."""


def legend(method: Method) -> tuple[str, ...]:
    """Sentences that say how to read the pictures."""
    return (
        "An image of each class in grey, with the map of its class by the model, and with the map "
        "by people.",
        signs_told(method.name),
    )


def pictures(
    check: str,
    audit: AuditContext,
    maps: dict[int, np.ndarray],
    people: HumanMaps,
    table: pd.DataFrame,
    method: Method,
    shown_image: Callable[[AuditContext, int], int | None],
) -> tuple[Picture, ...]:
    """A slider for each class that is shown; `maps` are the model's, (P,), by images."""
    labels = np.unique(audit.images.labels).tolist()
    wanted = {label: index for label in labels if (index := shown_image(audit, label)) in maps}
    if not wanted:
        return ()

    def steps(index: int) -> np.ndarray:
        image = audit.images.tensor([index])[0]
        values = torch.from_numpy(maps[index])[None]
        own = to_pixels(values, *audit.shape[1:], method.patch_size)[0, 0]
        return np.stack([picture(image), heat(image, own), heat(image, people.tensor([index])[0])])

    def seen(label: int) -> list[Seen]:
        index = wanted[label]
        read = class_in(table, index, "read")
        return [Seen(shows, index, label, None if shows == "people" else read) for shows in STEPS]

    part = {
        "shown_label": np.array(list(wanted)),
        "shown": np.stack([steps(index) for index in wanted.values()]),
    }
    return sliders([part], check, "", audit.classes, tuple(STEPS.values()), seen)
