"""Random numbers as pure functions of seed, image, step and use: no stream, so no order matters.

An image has the same draws in any batch, on any device and in any process, and also whatever class
it is filled for.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from fillblanks.masks import keys, uniform

Use = Literal["phase", "view", "size", "noise"]
_USES: tuple[Use, ...] = ("phase", "view", "size", "noise")
_FIRST = -(1 << 32)  # masks use keys of the draws 0, 1, ...; others those from -1 down
_VECTOR = 64  # values


class Draws:
    """The draws of images with the identities `indices`, int64 (N,), on their device.

    `seed` is an int of 64 bits. Raises ValueError for another one, when it is first used.
    """

    def __init__(self, seed: int, indices: Tensor):
        self._seed, self._indices = seed, indices

    def _keys(self, use: Use, step: int, count: int) -> Tensor:
        draw = _FIRST - step * len(_USES) - _USES.index(use)
        return keys(self._seed, self._indices, torch.full_like(self._indices, draw), count)

    def uniform(self, use: Use, step: int, count: int) -> Tensor:
        """Numbers in (0, 1), float64 (N, count)."""
        return uniform(self._keys(use, step, count))

    def normal(self, use: Use, step: int, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal numbers (N, count), two from each key (Box and Muller 1958)."""
        # Whole vectors of the processor for each image: the rest of a tensor is rounded otherwise.
        found = self._keys(use, step, -(-count // (2 * _VECTOR)) * _VECTOR)
        radius = uniform(found).to(dtype).log_().mul_(-2).sqrt_()
        angle = uniform(found << 32).to(dtype).mul_(2 * math.pi)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]
