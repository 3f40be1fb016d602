"""The pictures of `planted_defect`: a pattern, an image with it, and the places that work."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from audits.checks._planted_defect.figures import Screened, standing
from audits.checks._planted_defect.trial import Found, Trial, put
from audits.checks._shared.images import picture, signed_picture, slugs
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows
from fillblanks.attribution.windows import inside

EXAMPLE: dict[Shows, str] = {
    "pattern": "the pattern, enlarged",
    "other": "an image",
    "pasted": "with the pattern",
}
"""The pictures of one class that a unit keeps, in their order."""

_PLACES = "places that work"
CAPTIONS = (_PLACES, *EXAMPLE.values())
LEGEND = (
    "For each class: the pattern that turns most images of other classes into it, at its place in "
    "an image. The model reads the last picture.",
    "The redder a place, the likelier the class gets by the pattern's pixels that belong there.",
)


def example(audit: AuditContext, unit: Unit, found: Found, label: int, trial: Trial) -> Part:
    """Pictures of the first image that turned, else of the first, if the unit shows any.

    `shown` is uint8 (n, 3, H, W, 3) and `shown_read` int64 (n,), the class that the model sees in
    the last picture; n is 0 or 1.
    """
    if not unit.shown:
        none = np.zeros((0, len(EXAMPLE), *audit.shape[1:], 3), np.uint8)
        return {"shown": none, "shown_read": np.zeros(0, np.int64)}
    row = int(((found.read == label) & (found.plain != label)).argmax())
    index = unit.indices[len(unit.indices) - len(found.read) + row]
    image = audit.images.tensor([index])
    changed = put(image, found.pattern[None], found.place[None], trial)
    enlarged = functional.interpolate(found.pattern[None], audit.shape[1:], mode="nearest")
    steps = np.stack([picture(one[0]) for one in (enlarged, image, changed)])
    return {"shown": steps[None], "shown_read": found.read[row : row + 1]}


def pictures(
    check: str,
    audit: AuditContext,
    parts: Sequence[Part],
    rows: Sequence[Screened],
    chosen: Screened,
) -> tuple[Picture, ...]:
    """A slider for each class that is shown, of the trial in which it stands out most."""
    keys, found = slugs(audit.classes), []
    best: dict[int, Screened] = {}
    for row in (chosen, *sorted(rows, key=lambda row: -standing(row, rows))):
        best.setdefault(row.label, row)
    for label, row in sorted(best.items()):
        part = parts[row.number]
        if not len(part["shown"]):
            continue
        steps: list[tuple[Shows, np.ndarray, str]] = [
            (shows, image, caption)
            for (shows, caption), image in zip(EXAMPLE.items(), part["shown"][0], strict=True)
        ]
        if row.trial.size is not None:
            steps.insert(0, ("places", _heat(audit, part, row.trial), _PLACES))
        read = int(part["shown_read"][0])
        for shows, image, caption in steps:
            seen = Seen(shows, None, label, read if shows == "pasted" else None)
            step, key = CAPTIONS.index(caption), f"{check}/{keys[label]}"
            found.append(Picture(key, step, image, caption, title=keys[label], seen=seen))
    return tuple(found)


def _heat(audit: AuditContext, part: Part, trial: Trial) -> np.ndarray:
    """The mean probability of the class by the windows over each pixel, as red, (H, W, 3)."""
    places, heat = trial.places(audit.shape), torch.from_numpy(part["heat"]).double()
    height, width = audit.shape[1:]
    total, count = torch.zeros(height, width).double(), torch.zeros(height, width)
    for place, value in zip(places, heat, strict=True):
        window = inside(height, width, place[None], trial.size or 1)[0, 0]
        total += value * window
        count += window
    return signed_picture((total / count)[None])
