"""Moves images by a few pixels, at random and by a pure function of seed and image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from fillblanks.masks import keys

_SHIFT_DRAW = -2  # masks use keys of the draws 0, 1, ...
_SIDE = 28


def default_shift(height: int, width: int) -> int:
    """The largest shift in pixels: 1 for each 28 pixels of the shorter side, at least 1."""
    return max(1, min(height, width) // _SIDE)


def room(height: int, width: int) -> int:
    """The number of pixels that a shift of images of this size must stay below.

    It is the shorter side of those that move: a side of one pixel has nothing to reflect and does
    not. It is 0 if no side moves.
    """
    return min((side for side in (height, width) if side > 1), default=0)


def moved(images: Tensor, seed: int, indices: Sequence[int], pixels: int) -> Tensor:
    """Images (n, C, H, W), each moved by up to `pixels` rows and columns, but never by none.

    Images of a single row move by columns alone, and those of a single column by rows. Edges are
    filled by reflection. `indices` are the images' indices in the data set. Raises ValueError if
    `pixels` is not less than `room`.
    """
    height, width = images.shape[2:]
    if pixels >= room(height, width):
        raise ValueError(
            f"expected a shift of less than {room(height, width)} pixels for images of "
            f"{height}x{width}, got {pixels}"
        )
    rows, columns = (pixels if side > 1 else 0 for side in (height, width))
    return shifted(images, offsets(seed, indices, rows, columns))


def offsets(seed: int, indices: Sequence[int], rows: int, columns: int) -> np.ndarray:
    """The shift of each image, int64 (n, 2): rows down and columns to the right.

    Each is one of the (2 rows + 1)(2 columns + 1) - 1 shifts that move the image, a pure function
    of seed and image.
    """
    images = torch.tensor(list(indices))
    drawn = keys(seed, images, torch.full_like(images, _SHIFT_DRAW), 1)[:, 0].numpy()
    across = 2 * columns + 1
    shifts = (2 * rows + 1) * across
    chosen = (drawn.astype(np.uint64) % np.uint64(shifts - 1)).astype(np.int64)
    chosen += chosen >= shifts // 2  # the middle one moves nothing
    return np.stack([chosen // across - rows, chosen % across - columns], axis=1)


def shifted(images: Tensor, moves: np.ndarray) -> Tensor:
    """Images (n, C, H, W), each moved by its rows and columns (n, 2); edges are reflected."""
    height, width = images.shape[2:]
    top, left = np.abs(moves).max(axis=0).tolist()
    padded = pad(images, (left, left, top, top), mode="reflect")
    return torch.stack(
        [
            image[:, top - down : top - down + height, left - right :][:, :, :width]
            for image, (down, right) in zip(padded, moves.tolist(), strict=True)
        ]
    )
