"""Maps of pixels as one value a patch, and two maps that know nothing of the image."""

import torch
from torch import Tensor

from fillblanks import masks

_MAP = -11  # the draw whose keys are a random map; masks use 0, 1, ...
_APART = 1 << 40  # between the draws of two random maps


def patch_means(maps: Tensor, patch_size: int) -> Tensor:
    """The mean of the maps, float (n, H, W), in each patch: float64 (n, P).

    Patches are those of `masks.grid_shape`; a patch that the edge cuts has the mean of its pixels.
    """
    height, width = maps.shape[1:]
    rows, columns = masks.grid_shape(height, width, patch_size)
    numbers = torch.arange(rows * columns, device=maps.device)[None]
    patch = masks.to_pixels(numbers, height, width, patch_size).flatten()
    sums = maps.new_zeros(len(maps), rows * columns, dtype=torch.float64)
    sums.index_add_(1, patch, maps.flatten(1).double())
    return sums / patch.bincount(minlength=rows * columns)


def random_patches(seed: int, indices: Tensor, patches: int, number: int = 0) -> Tensor:
    """A random map of each image, float64 (n, P) in [0, 1): a random order of its patches.

    `indices`, int64 (n,), are the identities of the images; each `number` from 0 gives another map.
    """
    draw = _MAP - _APART * number
    drawn = masks.keys(seed, indices, torch.full_like(indices, draw), patches)
    return drawn.argsort(1).argsort(1).double() / patches


def centre_patches(height: int, width: int, patch_size: int) -> Tensor:
    """The map of the centre, float64 (P,): exp(-y^2 - x^2), with y and x from -1 to 1."""
    y, x = (torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width))
    return patch_means((-y[:, None].square() - x.square()).exp()[None], patch_size)[0]
