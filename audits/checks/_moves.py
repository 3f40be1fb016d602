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


def moved(images: Tensor, seed: int, indices: Sequence[int], pixels: int) -> Tensor:
    """Images (n, C, H, W), each moved by up to `pixels` rows and columns, but never by none.

    Edges are filled by reflection. `indices` are the images' indices in the data set.
    """
    return shifted(images, offsets(seed, indices, pixels))


def offsets(seed: int, indices: Sequence[int], pixels: int) -> np.ndarray:
    """The shift of each image, int64 (n, 2): rows down and columns to the right.

    Each is one of the (2 pixels + 1)^2 - 1 shifts that move the image, a pure function of seed and
    image.
    """
    images = torch.tensor(list(indices))
    drawn = keys(seed, images, torch.full_like(images, _SHIFT_DRAW), 1)[:, 0].numpy()
    side = 2 * pixels + 1
    chosen = (drawn.astype(np.uint64) % np.uint64(side**2 - 1)).astype(np.int64)
    chosen += chosen >= side**2 // 2  # the middle one moves nothing
    return np.stack([chosen // side, chosen % side], axis=1) - pixels


def shifted(images: Tensor, moves: np.ndarray) -> Tensor:
    """Images (n, C, H, W), each moved by its rows and columns (n, 2); edges are reflected."""
    height, width = images.shape[2:]
    margin = int(np.abs(moves).max())
    padded = pad(images, (margin, margin, margin, margin), mode="reflect")
    return torch.stack(
        [
            image[:, margin - down : margin - down + height, margin - right :][:, :, :width]
            for image, (down, right) in zip(padded, moves.tolist(), strict=True)
        ]
    )
