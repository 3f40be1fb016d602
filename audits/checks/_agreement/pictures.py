"""The pictures of `agreement`: where the model looks, and where another version does."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from audits.checks._shared.heat import heat, signs_told
from audits.checks._shared.images import picture, sliders
from audits.checks._shared.maps import Method
from audits.checks.context import AuditContext
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows
from fillblanks.masks import to_pixels

STEPS: dict[Shows, str] = {
    "looked_at": "the image",
    "evidence": "where this model looks",
    "evidence_other": "where the other version looks",
}
"""The pictures of one image, in their order."""


def legend(method: Method, version: str) -> tuple[str, ...]:
    """Sentences that say how to read the pictures; `version` is the one that is shown."""
    return (
        "An image of each class in grey, with the maps of its class by the model and by "
        f"{version}, the version that agrees least.",
        signs_told(method.name),
    )


def pictures(
    check: str,
    audit: AuditContext,
    parts: Sequence[Part],
    method: Method,
    version: int,
    shown_image: Callable[[AuditContext, int], int | None],
) -> tuple[Picture, ...]:
    """A slider for each class that is shown, with the maps of one version, by its number."""
    found: list[int] = []
    steps: list[np.ndarray] = []
    read: dict[int, int] = {}
    for label in np.unique(np.concatenate([part["label"] for part in parts])).tolist():
        index = shown_image(audit, label)
        for part in parts:
            for row in np.flatnonzero(part["index"] == index):
                image = audit.images.tensor([int(part["index"][row])])[0]
                values = torch.from_numpy(np.stack([part["map"][row], part["maps"][row, version]]))
                maps = to_pixels(values, *audit.shape[1:], method.patch_size)[:, 0]
                found.append(label)
                steps.append(np.stack([picture(image), *(heat(image, one) for one in maps)]))
                read[label] = int(part["read"][row])
    if not found:
        return ()

    def seen(label: int) -> list[Seen]:
        index = shown_image(audit, label)
        return [
            Seen(shows, index, label, None if shows == "evidence_other" else read[label])
            for shows in STEPS
        ]

    part = {"shown_label": np.array(found), "shown": np.stack(steps)}
    return sliders([part], check, "", audit.classes, tuple(STEPS.values()), seen)
