"""The pictures of `swap`: who gave a piece, who got it, and where the pieces were."""

from collections.abc import Sequence

import numpy as np
import torch

from audits.checks._shared.images import picture, signed_picture, slugs
from audits.checks._swap.figures import Screened, screened
from audits.checks._swap.trial import Piece, Trial
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows
from fillblanks.attribution.windows import inside

EXAMPLE: dict[Shows, str] = {
    "donor": "gives the piece",
    "other": "another image",
    "pasted": "with the piece",
}
"""The pictures of one donor and the image that gets its piece, in their order."""

_PLACES = "places of the patches"
CAPTIONS: dict[Piece, tuple[str, ...]] = {
    "patch": (_PLACES, *EXAMPLE.values()),
    "colour": tuple(EXAMPLE.values()),
}
_READ = "The model reads the last picture."
LEGEND: dict[Piece, tuple[str, ...]] = {
    "patch": (
        "An image of each class gives its framed patch, at the same place, to another image. "
        + _READ,
        "The redder a place, the more images of the class had their patch there.",
    ),
    "colour": (
        "An image of each class gives the means of its channels to another image. " + _READ,
    ),
}
_FRAME = (255, 0, 255)
_FRAME_SHARE = 100  # a frame is a hundredth of the side wide


def example(audit: AuditContext, unit: Unit, found: Trial | None, size: int) -> Part:
    """Pictures of the first donor that turned an image, else of the first, if the unit shows any.

    `shown_label` (n,) and `shown` uint8 (n, 3, H, W, 3), n 0 or 1.
    """
    if not unit.shown or found is None:
        empty = np.zeros((len(unit.shown), len(EXAMPLE), *audit.shape[1:], 3), np.uint8)
        return {"shown_label": audit.images.labels[list(unit.shown)], "shown": empty}
    row = _told(found.read, audit.images.labels[found.donors])
    donor, other = audit.images.tensor([found.donors[row], found.recipients[row]])
    giving = picture(donor)
    if found.places is not None:
        giving = _framed(giving, found.places[row : row + 1], size)
    steps = np.stack([giving, picture(other), picture(found.changed[row])])
    return {"shown_label": audit.images.labels[list(unit.shown)], "shown": steps[None]}


def _told(read: np.ndarray, labels: np.ndarray) -> int:
    """The first row in which an image turned, else the first."""
    return int((read == labels).argmax())


def _framed(image: np.ndarray, place: torch.Tensor, size: int) -> np.ndarray:
    """The image with a frame around the window, at least one pixel wide."""
    height, width = image.shape[:2]
    wide = max(1, min(height, width) // _FRAME_SHARE)
    around = inside(height, width, place - wide, size + 2 * wide)[0, 0]
    frame = around & ~inside(height, width, place, size)[0, 0]
    result = image.copy()
    result[frame.numpy()] = _FRAME
    return result


def pictures(
    check: str, what: Piece, audit: AuditContext, parts: Sequence[Part], chosen: Screened
) -> tuple[Picture, ...]:
    """A slider for each class that is shown, of the size at which it stands out most."""
    keys, found = slugs(audit.classes), []
    sizes: dict[int, Screened] = {}
    for one in (chosen, *sorted(screened(parts), key=lambda one: -one.lift)):
        sizes.setdefault(one.label, one)
    for part in parts:
        label = int(part["label"][0])
        if not len(part["shown"]) or label not in sizes or sizes[label].size != part["size"]:
            continue
        steps: list[tuple[Shows, np.ndarray, str]] = [
            (shows, image, caption)
            for (shows, caption), image in zip(EXAMPLE.items(), part["shown"][0], strict=True)
        ]
        if what == "patch":
            steps.insert(0, ("places", _places(audit, part), _PLACES))
        read = int(part["read"][_told(part["read"], part["label"])])
        for step, (shows, image, caption) in enumerate(steps):
            seen = Seen(shows, None, label, read if shows == "pasted" else None)
            key = f"{check}/{keys[label]}"
            found.append(Picture(key, step, image, caption, title=keys[label], seen=seen))
    return tuple(found)


def _places(audit: AuditContext, part: Part) -> np.ndarray:
    """How many patches of a class covered each pixel, as red, uint8 (H, W, 3)."""
    covered = inside(*audit.shape[1:], torch.from_numpy(part["place"]), int(part["size"]))
    return signed_picture(covered.float().mean(0))
