"""Alignment of maps with maps by people: the overlap of their highest patches.

Fel et al. 2022, "Harmonizing the object recognition strategies of deep neural networks with humans"
(arXiv 2211.04533). Maps are values of patches here, float (n, P).
"""

import math

import torch
from torch import Tensor

TOP = 0.1
_BLOCK = 256  # rows whose overlaps with all others are computed at once


def top(maps: Tensor, share: float = TOP) -> Tensor:
    """Which patches are among the highest `share` of each map, bool (n, P).

    They are those that are at least as high as number ceil(share * P), and higher than the lowest:
    of a map that is 0 nearly everywhere only what is above 0, of a constant map none. Raises
    ValueError unless 0 < share <= 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"Expected a share above 0, at most 1, got {share}.")
    count = math.ceil(share * maps.shape[1])
    least = maps.topk(count, dim=1).values[:, -1:]
    return (maps >= least) & (maps > maps.amin(1, keepdim=True))


def dice(a: Tensor, b: Tensor) -> Tensor:
    """Dice's coefficient of the rows of two sets, bool (n, P): float64 (n,); 0 if both are empty.

    Twice the patches in both, by the patches of either set (Dice 1945, Ecology 26:297).
    """
    return _dice((a & b).sum(1).double(), a.sum(1), b.sum(1))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of the rows of two sets, bool (n, P): float64 (n,); 0 if empty."""
    return _iou((a & b).sum(1).double(), a.sum(1), b.sum(1))


class WithOthers:
    """The mean overlap of each set with those of all other images: Dice and IoU, float64 (n,).

    `sets` and `others` are bool (n, P), of the same images: row i of `sets` is compared with every
    row of `others` but i. Raises ValueError for fewer than two images.
    """

    def __init__(self, sets: Tensor, others: Tensor):
        count = len(sets)
        if count < 2:
            raise ValueError(f"Expected sets of two images or more, got {count}.")
        given, sizes, found = others.double(), others.sum(1), []
        for rows in torch.arange(count).split(_BLOCK):
            shared = sets[rows].double() @ given.T
            own = sets[rows].sum(1)[:, None]
            both = torch.stack([_dice(shared, own, sizes), _iou(shared, own, sizes)])
            both[:, torch.arange(len(rows)), rows] = 0
            found.append(both.sum(2) / (count - 1))
        self.dice, self.iou = torch.cat(found, 1)


def _dice(shared: Tensor, own: Tensor, other: Tensor) -> Tensor:
    return 2 * shared / (own + other).clamp(min=1)


def _iou(shared: Tensor, own: Tensor, other: Tensor) -> Tensor:
    return shared / (own + other - shared).clamp(min=1)
