"""Two halves of the data, drawn by the seed: one screens all classes, the other looks again."""

from typing import Any, NamedTuple

import numpy as np
import torch

from audits.checks._shared.fill import recognise
from audits.checks.context import AuditContext, Unit
from audits.errors import AuditError
from fillblanks.masks import keys

# Draws of masks use keys 0, 1, ..., those of foils -5.
_HALF, _RECIPIENT, _PLACE, _OTHER = -6, -7, -8, -9
_DIGITS = 16  # of the digest of the images

Cell = tuple[tuple[str, Any], ...]


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


def donor_units(
    audit: AuditContext, half: Half, most: int, shown: set[int], cell: Cell
) -> list[Unit]:
    """A unit for each class of the half, with at most `most` of its images, all of one `cell`.

    Of the classes `shown` the first image is kept for pictures.
    """
    found: list[Unit] = []
    for label in np.unique(audit.images.labels[half.indices]).tolist():
        donors = np.sort(half.donors(audit, label, most)).tolist()
        kept = tuple(donors[:1]) if label in shown else ()
        found.append(Unit(len(found), tuple(donors), kept, cell))
    return found


def pool_cell(audit: AuditContext, pool: np.ndarray) -> Cell:
    """The digest of all images of the pool: a unit names it if it takes images of others."""
    return (("images", audit.images.digest(pool)[:_DIGITS]),)


def expect_pool(audit: AuditContext, pool: np.ndarray, unit: Unit) -> None:
    """Raises AuditError if the images of the pool are not those that the unit names."""
    if not set(pool_cell(audit, pool)) <= set(unit.cell):
        raise AuditError(
            f"Expected {audit.images.name} to stay as it was when the audit began, but its "
            "images have changed. Run the audit again."
        )


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


def named_otherwise(audit: AuditContext, others: np.ndarray, label: int, wanted: int) -> np.ndarray:
    """The first `wanted` of the images that the model names, and not as `label`."""
    found: list[int] = []
    for at in range(0, len(others), audit.plan.chunk):
        some = others[at : at + audit.plan.chunk]
        everywhere = torch.ones(len(some), dtype=torch.bool)
        named = recognise(audit, audit.images.tensor(some), everywhere)
        found += some[(named != label) & (named >= 0)].tolist()
        if len(found) >= wanted:
            break
    return np.array(found[:wanted], dtype=np.int64)
