"""The second look of `planted_defect`: the pattern that stands out, in images not used before."""

import numpy as np
import torch
from torch import Tensor

from audits.checks._planted_defect.figures import Screened
from audits.checks._planted_defect.trial import Trial, put, recipients, search
from audits.checks._shared.fill import recognise
from audits.checks._shared.halves import Half, random_places
from audits.checks.context import AuditContext, Unit
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from fillblanks import Classifier


def look_again(
    audit: AuditContext,
    half: Half,
    chosen: Screened,
    second: Screened,
    parts: list[Part],
    unit: Unit,
    wanted: int,
) -> Part:
    """How images of `half` are named with the pattern, and with others in its place.

    `parts` are those of the same trial, one a class; `unit` is that of the chosen pattern. Images
    are named with the pattern at its place (`read`), with it at random places (`read_moved`), and
    with the patterns of other classes at its place, in turns (`read_other`). `read_next` is of
    images with the pattern of the class `second`, and `read_reference` how the reference names the
    images with the pattern that was made for it. `own` and `own_reference` are how the model and
    the reference name images of the class itself, as they are.
    """
    trial, label = chosen.trial, chosen.label
    found = recipients(audit, half, label, wanted)
    if not len(found):
        raise NotApplicable(_no_images(audit, label))
    images = audit.images.tensor(found)
    by_class = {int(part["class"]): part for part in parts}
    others = [part for part in parts if part["class"] != label]
    pattern, place = _pattern(by_class[label])
    turns = torch.arange(len(found)) % len(others)
    part = {
        "index": found,
        "read": _read(audit, images, pattern[None], place[None], trial),
        "read_moved": _read(
            audit,
            images,
            pattern[None],
            random_places(audit, found, trial.places(audit.shape)),
            trial,
        ),
        "read_other": _read(
            audit,
            images,
            torch.stack([_pattern(others[turn])[0] for turn in turns]),
            place[None],
            trial,
        ),
    }
    theirs = recipients(audit, half, second.label, wanted)
    if not len(theirs):
        raise NotApplicable(_no_images(audit, second.label))
    next_pattern, next_place = _pattern(by_class[second.label])
    part["read_next"] = _read(
        audit, audit.images.tensor(theirs), next_pattern[None], next_place[None], trial
    )
    if audit.reference is not None:
        made = search(audit, audit.reference, unit, label, trial)
        part["read_reference"] = _read(
            audit, images, made.pattern[None], made.place[None], trial, audit.reference
        )
        own = audit.images.tensor(half.donors(audit, label, wanted))
        all_of_them = torch.ones(len(own), dtype=torch.bool)
        part["own"] = recognise(audit, own, all_of_them)
        part["own_reference"] = recognise(audit, own, all_of_them, audit.reference)
    return part


def _read(
    audit: AuditContext,
    images: Tensor,
    patterns: Tensor,
    places: Tensor,
    trial: Trial,
    by: Classifier | None = None,
) -> np.ndarray:
    """Predicted classes of `images` with patterns at places; one of either serves for all."""
    count = len(images)
    patterns = patterns.expand(count, *patterns.shape[1:])
    changed = put(images, patterns, places.expand(count, 2), trial)
    read = recognise(audit, changed, torch.ones(count, dtype=torch.bool), by)
    if (read < 0).any():  # such an image has not turned, and would make a low rate
        raise ValueError(
            "Expected finite logits, got NaN or infinity for an image with a pattern in it. Check "
            "the weights, mean and std."
        )
    return read


def _pattern(part: Part) -> tuple[Tensor, Tensor]:
    """The pattern of a part and its place."""
    return torch.from_numpy(part["pattern"]).float(), torch.from_numpy(part["place"])


def _no_images(audit: AuditContext, label: int) -> str:
    return (
        "Expected images of other classes that the model does not name "
        f"{audit.classes[label]!r}, got none in half of the data."
    )
