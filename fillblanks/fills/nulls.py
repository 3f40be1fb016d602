"""The null of a fill: the same values at the wrong places."""

import torch
from torch import Tensor

from fillblanks import masks

# Keeps the keys of shuffled pixels apart from those of masks, which count draws from 0.
_DRAW = -1


def shuffled(values: Tensor, regions: Tensor, *, seed: int, indices: Tensor) -> Tensor:
    """`values` with their pixels put in random order inside each region.

    `values` is (N, C, H, W), of any range; `regions` is int64 or bool (N, 1, H, W): pixels with the
    same number change places among themselves, all channels of a pixel together. A binarised fill
    so keeps its number of white pixels, at random places. `seed` is an int of 64 bits; `indices`,
    int64 (N,), are the identities of the images, as for masks, on the device of `values`.

    Returns (N, C, H, W). Raises ValueError if `seed` does not fit into 64 bits.
    """
    count = values.shape[2] * values.shape[3]
    pixel_keys = masks.keys(seed, indices, torch.full_like(indices, _DRAW), count)
    flat = regions.flatten(1).long()
    target = flat.argsort(dim=1, stable=True)
    random = pixel_keys.argsort(dim=1)
    source = random.gather(1, flat.gather(1, random).argsort(dim=1, stable=True))
    pixels = values.flatten(2)
    channels = pixels.shape[1]
    moved = pixels.gather(2, source[:, None].expand(-1, channels, -1))
    result = torch.empty_like(pixels)
    result.scatter_(2, target[:, None].expand(-1, channels, -1), moved)
    return result.view_as(values)
