"""One trial of `swap`: pieces of donors in other images, and how the model names these then."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks._shared.halves import Half, named_otherwise, other_donors, random_places
from audits.checks.context import AuditContext
from fillblanks.attribution.favourites import Chooser, favourite_windows
from fillblanks.attribution.pasting import with_colours, with_windows
from fillblanks.attribution.windows import window_places

Piece = Literal["patch", "colour"]


class Method(NamedTuple):
    """Which piece is put into other images."""

    what: Piece
    size: int  # pixels of a patch
    stride: int
    chooser: Chooser


class Trial(NamedTuple):
    """n donors, each with one other image: how the model names these with the piece."""

    donors: np.ndarray  # indices, int64 (n,)
    recipients: np.ndarray  # indices, int64 (n,)
    places: Tensor | None  # of the favourite patches, int64 (n, 2); None for colours
    changed: Tensor  # the other images with their piece, float (n, C, H, W)
    read: np.ndarray  # predicted classes of these, int64 (n,), -1 for none
    read_random: np.ndarray  # with a random patch, or the colour of another class, instead


def trial(
    audit: AuditContext, half: Half, label: int, donors: np.ndarray, tries: int, method: Method
) -> Trial | None:
    """Puts a piece of each donor into `tries` other images that the model does not name so.

    Each donor comes `tries` times in a row. None if the model names every other image of the half
    as `label`. If too few are left, they are taken again for the next donors.
    """
    count = len(donors) * tries
    found = named_otherwise(audit, half.others(audit, label), label, count)
    if not len(found):
        return None
    recipients = np.resize(found, count)
    given = np.repeat(donors, tries)
    images, others = audit.images.tensor(given), audit.images.tensor(recipients)
    if method.what == "colour":
        changed = with_colours(others, images)
        null = with_colours(others, audit.images.tensor(other_donors(audit, half, label, count)))
        places = None
    else:
        grid = window_places(*audit.shape[1:], method.size, method.stride)
        # The random place of a donor is drawn anew for each image that it is put into.
        anywhere = random_places(audit, given * count + np.arange(count), grid)
        places = _favourites(audit, donors, label, method).repeat_interleave(tries, 0)
        changed = with_windows(others, images, places, method.size)
        null = with_windows(others, images, anywhere, method.size)
    read, read_random = _named(audit, changed), _named(audit, null)
    return Trial(given, recipients, places, changed, read, read_random)


def _favourites(audit: AuditContext, donors: np.ndarray, label: int, method: Method) -> Tensor:
    return favourite_windows(
        audit.classifier,
        audit.images.tensor(donors),
        torch.full((len(donors),), label),
        size=method.size,
        stride=method.stride,
        chooser=method.chooser,
        chunk=audit.plan.chunk,
    )


def _named(audit: AuditContext, images: Tensor) -> np.ndarray:
    return recognise(audit, images, torch.ones(len(images), dtype=torch.bool))
