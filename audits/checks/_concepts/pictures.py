"""The pictures of `concepts`: its patches, where an image has it, and one image with a patch."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from audits.checks._concepts.figures import Screened, screened, state_of
from audits.checks._concepts.of_class import Seen, State
from audits.checks._concepts.trial import Others, Trial, best_images
from audits.checks._shared.images import picture, slugs
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Shows
from audits.evidence.evidence import Seen as About
from fillblanks.concepts.cut import Cut

STEPS: dict[Shows, str] = {
    "patches": "patches of the concept",
    "heat": "where an image has it",
    "other": "another image",
    "pasted": "with a patch",
}
"""The pictures of a class's concept, in their order."""

CAPTIONS = tuple(STEPS.values())
LEGEND = (
    "The first picture shows the nine patches in which a concept of the class is strongest. Of the "
    "concepts of the class it is the one whose patches turn most other images.",
    "The second is an image of the class: the redder a place, the stronger the concept there.",
    "The last two are another image, and the same with a patch at the patch's own place. The model "
    "reads the last picture.",
)
_SIDE = 3  # patches beside each other
_STRENGTH = 0.8  # of the red of the strongest place


def no_example(audit: AuditContext, unit: Unit) -> Part:
    """The pictures of a class that was not tried, which nobody sees."""
    empty = np.zeros((len(unit.shown), len(STEPS), *audit.shape[1:], 3), np.uint8)
    return {"shown_label": audit.images.labels[list(unit.shown)], "shown": empty}


def example(
    audit: AuditContext,
    unit: Unit,
    found: Cut,
    seen: Seen,
    trials: Sequence[Trial],
    others: Others,
    size: int,
) -> Part:
    """Pictures of the concept that turned most images, if the unit shows any.

    `shown_label` (n,) and `shown` uint8 (n, 4, H, W, 3), n 0 or 1.
    """
    if not unit.shown:
        return no_example(audit, unit)
    label = int(audit.images.labels[unit.indices[0]])
    lifts = [float((t.read == label).mean() - (t.read_null == label).mean()) for t in trials]
    concept = int(np.argmax(lifts))
    trial = trials[concept]
    row = told(trial.read, label)
    best = int(best_images(seen.codes, concept)[0])
    image = audit.images.tensor([int(seen.images[best])])[0]
    steps = np.stack(
        [
            _patches(audit, trial, size),
            _heat(image, seen.codes[best, :, concept].view(found.rows, found.columns)),
            picture(audit.images.tensor([int(others.recipients[row])])[0]),
            picture(trial.changed[row]),
        ]
    )
    return {"shown_label": audit.images.labels[list(unit.shown)], "shown": steps[None]}


def told(read: np.ndarray, label: int) -> int:
    """The first row in which an image turned, else the first."""
    return int((read == label).argmax())


def _patches(audit: AuditContext, trial: Trial, size: int) -> np.ndarray:
    """The best nine patches in three rows, uint8 (H, W, 3); white if there are fewer."""
    height, width = audit.shape[1:]
    result = np.full((height, width, 3), 255, np.uint8)
    cell = (height // _SIDE, width // _SIDE)
    for number in range(min(len(trial.donors), _SIDE**2)):
        image = audit.images.tensor([int(trial.donors[number])])
        top, left = trial.windows[number].tolist()
        patch = image[:, :, top : top + size, left : left + size].float()
        row, column = divmod(number, _SIDE)
        small = picture(interpolate(patch, cell, mode="area")[0])
        at = slice(row * cell[0], (row + 1) * cell[0])
        result[at, column * cell[1] : (column + 1) * cell[1]] = small
    return result


def _heat(image: Tensor, strength: Tensor) -> np.ndarray:
    """The image in grey, redder where a concept is stronger, uint8 (H, W, 3)."""
    height, width = image.shape[1:]
    wide = interpolate(strength[None, None], (height, width), mode="bilinear")[0, 0]
    share = _STRENGTH * (wide / wide.max().clamp(min=1e-12)).numpy()[:, :, None]
    grey = picture(image.mean(0, keepdim=True)).astype(float)
    mixed = (1 - share) * grey + share * np.array([255.0, 0, 0])
    result: np.ndarray = mixed.round().astype(np.uint8)
    return result


def pictures(
    check: str, audit: AuditContext, parts: Sequence[Part], labels: Sequence[int]
) -> tuple[Picture, ...]:
    """A slider for each class that is shown, of its concept that turned most images."""
    keys, found = slugs(audit.classes), []
    best: dict[int, Screened] = {}
    for one in sorted(screened(parts, labels), key=lambda one: -one.lift):
        best.setdefault(one.label, one)
    for part, label in zip(parts, labels, strict=True):
        if state_of(part) != State.TRIED or not len(part["shown"]):
            continue
        read = part["read"][best[label].concept]
        for step, (shows, caption) in enumerate(STEPS.items()):
            named = int(read[told(read, label)]) if shows == "pasted" else None
            key, about = f"{check}/{keys[label]}", About(shows, None, label, named)
            image = part["shown"][0, step]
            found.append(Picture(key, step, image, caption, title=keys[label], seen=about))
    return tuple(found)
