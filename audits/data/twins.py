"""Twins: images that are copies of each other, or nearly so, found by their thumbnails.

A copy may be stored as JPEG again, resized, a little brighter or darker, moved by up to a sixteenth
of its side, or mirrored. How near two different images are depends on the data: two handwritten
ones are nearer to each other than two photographs. So the distance of a pair is compared with that
to the image's other neighbours, as Lowe 2004 (IJCV 60:91, section 7.1) does for points of images.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audits.data.imageset import ImageSet
from audits.data.scan import told_in_log

NEIGHBOURS = 10  # of each image that are looked at
_SIDE = 32  # pixels of a thumbnail
_REACH = 2  # pixels of a thumbnail by which a copy may be moved
_POOL = 2  # pixels along each side that are averaged before two thumbnails are compared
_WHITE = 255
_RATIO = 0.1  # chosen after copies and different images were compared, see docs/robustness.md
_LEAST_SHARE = 0.25  # of the median scale; the neighbours of an image may all be copies of it
_CROWDED = 0.1  # a distance; if all neighbours are nearer, more are looked at
_MORE = 200  # neighbours of crowded images
_CLOSE = 0.005  # the largest distance of a copy in a crowd, see docs/robustness.md
_JUMP = 2.0  # a distance over that before it: those before are copies, if the jump is the largest
_ROUNDING = 1e-4  # a distance that counts as none
_UNLIKE = 0.5  # a distance from which moving is not tried
_AT_ONCE = 8192  # thumbnails that are compared with all others at a time


class Neighbours(NamedTuple):
    """The nearest images of each of n images, at most `NEIGHBOURS`, as positions among others.

    `distance` (n, k) is 1 minus the correlation of the two thumbnails' pixels, after the best
    shift: 0 for exact copies, about 1 for images that have nothing in common. `mirrored` (n, k)
    says whether the two are nearer if one is mirrored. `limit` (n,) is the largest distance of a
    copy.
    """

    position: np.ndarray  # int64 (n, k)
    distance: np.ndarray  # float32 (n, k)
    mirrored: np.ndarray  # bool (n, k)
    limit: np.ndarray  # float32 (n,)

    def at_most(self, limit: np.ndarray) -> "Neighbours":
        """The same neighbours, with limits that are nowhere above `limit`, float32 (n,)."""
        return self._replace(limit=np.minimum(self.limit, limit))

    @property
    def is_twin(self) -> np.ndarray:
        """Whether each neighbour is a copy, bool (n, k)."""
        found: np.ndarray = self.distance <= self.limit[:, None]
        return found


def thumbnails(images: ImageSet, indices: Sequence[int], channels: int) -> Tensor:
    """The images with these indices as uint8 (n, channels, 32, 32), each stretched to that size."""
    fit = replace(images.fit, channels=channels)
    fitted, progress = replace(images, fit=fit), told_in_log()
    found = torch.empty((len(indices), channels, _SIDE, _SIDE), dtype=torch.uint8)
    for row, index in enumerate(indices):
        small = functional.interpolate(
            fitted.tensor([index]), (_SIDE, _SIDE), mode="bilinear", antialias=True
        )
        found[row] = (small[0] * _WHITE).round().to(torch.uint8)
        progress(row + 1, len(indices))
    return found


def neighbours(thumbs: Tensor, others: Tensor | None = None) -> Neighbours:
    """The nearest of `others` for each thumbnail; None for the other thumbnails of the same set.

    All pairs are compared, in blocks: n x m x 512 multiplications for n and m thumbnails, and no
    more memory than the thumbnails and a block of their correlations. The nearest are then
    compared again, moved by each shift up to `_REACH`.
    """
    given, own = (thumbs, np.arange(len(thumbs))) if others is None else (others, None)
    position, distance, mirrored = _nearest(thumbs, given, own, NEIGHBOURS)
    scale = distance.max(1, initial=0.0)
    crowded = np.flatnonzero(scale <= _CROWDED)
    scale[crowded] = _beyond_copies(thumbs, given, own, crowded, distance[crowded])
    scale = np.maximum(scale, _LEAST_SHARE * np.median(scale)) if len(scale) else scale
    return Neighbours(position, distance, mirrored, np.maximum(_RATIO * scale, _ROUNDING))


def _beyond_copies(
    thumbs: Tensor, others: Tensor, own: np.ndarray | None, rows: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """The scale of thumbnails that may have more copies than neighbours, float32 (n,).

    `distance` (n, k) are those of the neighbours. Copies are followed by a jump; the scale is then
    the distance to the tenth image behind it, else that to the last neighbour.
    """
    scale = distance.max(1, initial=0.0)
    count = len(others) - (own is not None)
    if not len(rows) or count <= NEIGHBOURS:
        return scale
    likeness, position = _most_alike(
        thumbs[rows], others, None if own is None else own[rows], _MORE
    )
    unmoved = 1 - likeness  # the nearest first
    ratio = unmoved[:, NEIGHBOURS:] / np.maximum(unmoved[:, NEIGHBOURS - 1 : -1], _ROUNDING)
    ratio[distance.min(1) > _RATIO * unmoved[:, -1]] = 0  # at no scale the nearest is a copy
    jumps = np.flatnonzero(ratio.max(1, initial=0.0) >= _JUMP)
    start = NEIGHBOURS + ratio[jumps].argmax(1, keepdims=True)
    behind = np.minimum(start + np.arange(NEIGHBOURS), position.shape[1] - 1)
    pairs = np.repeat(rows[jumps], NEIGHBOURS)
    found = (np.take_along_axis(of[jumps], behind, 1).ravel() for of in (position, likeness))
    moved, _ = _compared(thumbs, others, pairs, *found)
    # Images of one kind before one camera are such a crowd too, and not as near as copies.
    scale[jumps] = np.minimum(moved.reshape(-1, NEIGHBOURS).max(1), _CLOSE / _RATIO)
    return scale


def _nearest(
    thumbs: Tensor, others: Tensor, own: np.ndarray | None, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, distances, and whether one is mirrored, (n, k) each, of up to `most` neighbours.

    `own` are the thumbnails' own positions among the others, which are left out.
    """
    likeness, position = _most_alike(thumbs, others, own, most)
    rows = np.repeat(np.arange(len(thumbs)), position.shape[1])
    distance, mirrored = _compared(thumbs, others, rows, position.reshape(-1), likeness.reshape(-1))
    return position, distance.reshape(position.shape), mirrored.reshape(position.shape)


def _most_alike(
    thumbs: Tensor, others: Tensor, own: np.ndarray | None, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations and positions (n, k) of the thumbnails that are most alike."""
    count = min(most, len(others) - (own is not None))
    plain, mirror = _standardised_grey(thumbs), _standardised_grey(thumbs.flip(3))
    best = torch.full((len(thumbs), count), -torch.inf)
    position = torch.zeros((len(thumbs), count), dtype=torch.int64)
    for at in range(0, len(others), _AT_ONCE):
        block = _standardised_grey(others[at : at + _AT_ONCE]).T
        for start in range(0, len(thumbs), _AT_ONCE // 8):
            rows = slice(start, start + _AT_ONCE // 8)
            alike = torch.maximum(plain[rows] @ block, mirror[rows] @ block)
            if own is not None:
                itself = torch.from_numpy(own[rows]) - at
                inside = (itself >= 0) & (itself < alike.shape[1])
                alike[inside.nonzero()[:, 0], itself[inside]] = -torch.inf
            value, found = alike.topk(min(count, alike.shape[1]), dim=1)
            value = torch.cat([best[rows], value], dim=1)
            found = torch.cat([position[rows], found + at], dim=1)
            best[rows], order = value.topk(count, dim=1)
            position[rows] = found.gather(1, order)
    return best.numpy(), position.numpy()


def _compared(
    thumbs: Tensor, others: Tensor, rows: np.ndarray, positions: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances after the best shift, and whether one of the pair is mirrored, (pairs,) each."""
    distance, mirrored = (1 - alike).astype(np.float32), np.zeros(len(rows), dtype=bool)
    near = np.flatnonzero(distance < _UNLIKE)
    for at in range(0, len(near), _AT_ONCE // 4):
        pairs = near[at : at + _AT_ONCE // 4]
        one, other = thumbs[rows[pairs]], others[positions[pairs]]
        as_it_is, flipped = (
            (_standardised_grey(side) * _standardised_grey(other)).sum(1)
            for side in (one, one.flip(3))
        )
        turned = flipped > as_it_is
        one = torch.where(turned.view(-1, 1, 1, 1), one.flip(3), one)
        distance[pairs], mirrored[pairs] = _after_shifts(one, other), turned
    return distance, mirrored


def _after_shifts(one: Tensor, other: Tensor) -> np.ndarray:
    """The least distance of each pair, float32 (n,), over all shifts of up to `_REACH` pixels."""
    inside = _SIDE - 2 * _REACH
    middle = _standardised(other[:, :, _REACH:-_REACH, _REACH:-_REACH])
    best = torch.full((len(one),), -torch.inf)
    for down in range(2 * _REACH + 1):
        for right in range(2 * _REACH + 1):
            window = one[:, :, down : down + inside, right : right + inside]
            best = torch.maximum(best, (_standardised(window) * middle).sum(1))
    return (1 - best).clamp(min=0).numpy()


def _standardised_grey(thumbs: Tensor) -> Tensor:
    return _standardised(thumbs.float().mean(1, keepdim=True))


def _standardised(thumbs: Tensor) -> Tensor:
    """Pooled pixels, each channel with mean 0, all together with length 1: float32 (n, values)."""
    values = functional.avg_pool2d(thumbs.float() / _WHITE, _POOL)
    values = (values - values.mean((2, 3), keepdim=True)).flatten(1)
    return values / values.norm(dim=1, keepdim=True).clamp(min=1e-4)
