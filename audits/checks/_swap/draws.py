"""Which images give a piece and which get one: two halves of the data, drawn by the seed."""

from typing import NamedTuple

import numpy as np
import torch

from audits.checks.context import AuditContext
from fillblanks.masks import keys

# Draws of masks use keys 0, 1, ..., those of foils -5.
_HALF, _RECIPIENT, _PLACE, _OTHER = -6, -7, -8, -9


class Half(NamedTuple):
    """Images that are looked at together: those that screen all classes, or those that confirm."""

    number: int  # 0: screens, 1: confirms
    indices: np.ndarray  # int64 (n,), in a random order

    def donors(self, audit: AuditContext, label: int, most: int) -> np.ndarray:
        """Images of a class, at most `most`, int64 (n,)."""
        own = self.indices[audit.images.labels[self.indices] == label]
        return own[:most]

    def others(self, audit: AuditContext, label: int) -> np.ndarray:
        """All images of other classes, int64 (n,), in an order of this class's own."""
        others = self.indices[audit.images.labels[self.indices] != label]
        return others[np.argsort(_drawn(audit, others, _RECIPIENT - label * _APART))]


_APART = 16  # between the draws of two classes


def halves(audit: AuditContext, pool: np.ndarray) -> tuple[Half, Half]:
    """The images of the pool in two halves, each with about half of every class.

    What is found on the one can be confirmed on the other, since they share no image. Of a class
    with an odd number of images, the first half has one more.
    """
    order = pool[np.argsort(_drawn(audit, pool, _HALF))]
    second = np.zeros(len(order), dtype=bool)
    labels = audit.images.labels[order]
    for label in np.unique(labels):
        second[np.flatnonzero(labels == label)[1::2]] = True
    return Half(0, order[~second]), Half(1, order[second])


def random_places(audit: AuditContext, donors: np.ndarray, places: torch.Tensor) -> torch.Tensor:
    """One of `places`, int64 (P, 2), for each donor, each equally likely: int64 (n, 2)."""
    return places[torch.from_numpy(_drawn(audit, donors, _PLACE)).remainder(len(places))]


def other_donors(audit: AuditContext, half: Half, label: int, count: int) -> np.ndarray:
    """Images of other classes, int64 (count,), in another order than recipients have."""
    others = half.others(audit, label)
    order = others[np.argsort(_drawn(audit, others, _OTHER))]
    return np.resize(order, count)


def _drawn(audit: AuditContext, indices: np.ndarray, draw: int) -> np.ndarray:
    images = torch.from_numpy(indices)
    found: np.ndarray = keys(audit.seed, images, torch.full_like(images, draw), 1)[:, 0].numpy()
    return found
