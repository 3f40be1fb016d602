"""One trial of `concepts`: other images with the best patches of a concept, and their names."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks._concepts.of_class import LEAST_IMAGES, Seen, State, Untried
from audits.checks._shared.fill import recognise
from audits.checks._shared.halves import Half, named_otherwise
from audits.checks.context import AuditContext
from fillblanks.attribution.pasting import with_windows
from fillblanks.concepts.cut import Cut
from fillblanks.concepts.places import windows_of

BEST_PATCHES = 10


class Others(NamedTuple):
    """n images of other classes that get a patch, and n that give the patches of the null."""

    recipients: np.ndarray  # indices, int64 (n,)
    givers: np.ndarray  # indices, int64 (n,)


class Trial(NamedTuple):
    """The patches of one concept, and how the model names n other images with them."""

    donors: np.ndarray  # indices of the images with the best patches, the best first
    windows: Tensor  # top left pixels of these patches, int64 (patches, 2)
    changed: Tensor  # the other images with a patch, float (n, C, H, W)
    read: np.ndarray  # predicted classes of these, int64 (n,)
    read_null: np.ndarray  # with a patch of another class at the same place


def others_of(audit: AuditContext, half: Half, label: int, most: int) -> Others:
    """Images of other classes that the model names, and not as `label`; each is taken once.

    Raises Untried if there are too few.
    """
    found = named_otherwise(audit, half.others(audit, label), label, 2 * most)
    count = len(found) // 2
    if count < LEAST_IMAGES:
        raise Untried(State.ALONE)
    return Others(found[:count], found[count : 2 * count])


def strongest(codes: Tensor, concept: int) -> Tensor:
    """The place of each image where a concept is strongest, int64 (n,)."""
    return codes[:, :, concept].argmax(1)


def best_images(codes: Tensor, concept: int) -> Tensor:
    """The rows of the images in which a concept is strongest anywhere, the best first."""
    peaks = codes[:, :, concept].amax(1)
    return peaks.argsort(descending=True, stable=True)[:BEST_PATCHES]


def transplant(
    audit: AuditContext, found: Cut, seen: Seen, concept: int, others: Others, size: int
) -> Trial:
    """Puts the ten best patches of a concept in turn into other images, at their places.

    Raises Untried if the model does not name one of these images: a missing answer must not count
    as an image that was not turned.
    """
    rows = best_images(seen.codes, concept)
    donors = seen.images[rows.numpy()]
    places = strongest(seen.codes, concept)[rows]
    windows = windows_of(found, places, *audit.shape[1:], size)
    turn = np.arange(len(others.recipients)) % len(donors)
    given, at = audit.images.tensor(donors[turn]), windows[turn]
    recipients = audit.images.tensor(others.recipients)
    changed = with_windows(recipients, given, at, size)
    null = with_windows(recipients, audit.images.tensor(others.givers), at, size)
    read, read_null = (
        recognise(audit, images, torch.ones(len(images), dtype=torch.bool))
        for images in (changed, null)
    )
    if (read < 0).any() or (read_null < 0).any():
        raise Untried(State.NOT_FINITE)
    return Trial(donors, windows, changed, read, read_null)
