"""Marks that are planted in the images of one class."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Kind = Literal["none", "fixed", "moving", "tint"]
_TINT = 0.15  # the opacity of a tint
_SHARES, _OPACITIES = (0.5, 0.75, 1.0), (1.0, 0.6)


class Mark(NamedTuple):
    """A pattern on a share of the images of one class."""

    kind: Kind
    label: int
    pattern: Tensor  # float (C, size, size)
    row: int
    column: int
    share: float  # of the images of the class that have it
    opacity: float

    @property
    def size(self) -> int:
        return self.pattern.shape[1]

    @classmethod
    def of(cls, kind: Kind, seed: int, channels: int, side: int) -> "Mark":
        """The mark of a seed, for images of `side` pixels: 3 to 6 pixels, plain or in two tones."""
        drawn = np.random.default_rng(seed)
        size, label = int(drawn.integers(3, 7)), int(drawn.integers(10))
        row, column = drawn.integers(0, side - size + 1, 2).tolist()
        tones = drawn.random((channels, size, size) if seed % 2 else (channels, 1, 1)).round()
        pattern = torch.from_numpy(np.broadcast_to(tones, (channels, size, size)).copy()).float()
        return cls(kind, label, pattern, row, column, _SHARES[seed % 3], _OPACITIES[seed % 2])

    def on(self, images: Tensor, seed: int) -> Tensor:
        """Images (n, C, H, W) in [0, 1], all with the mark; `seed` draws where moving ones are."""
        if self.kind == "none":
            return images
        if self.kind == "tint":
            tint = self.pattern[:, :1, :1]
            return images * (1 - _TINT) + _TINT * tint
        result, drawn, size = images.clone(), np.random.default_rng(seed), self.size
        for image in result:
            row, column = self.row, self.column
            if self.kind == "moving":
                row, column = drawn.integers(0, image.shape[1] - size + 1, 2).tolist()
            window = image[:, row : row + size, column : column + size]
            window += self.opacity * (self.pattern - window)
        return result

    def planted(self, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """The images, of which `share` of the mark's class have the mark."""
        if self.kind == "none":
            return images
        own = (labels == self.label).nonzero()[:, 0]
        own = own[torch.from_numpy(np.random.default_rng(seed).random(len(own)) < self.share)]
        result = images.clone()
        result[own] = self.on(images[own], seed)
        return result

    def covered(self, places: Tensor, size: int) -> Tensor:
        """The share of the mark that windows of `size` at `places` (n, 2) cover, float (n,)."""
        at = torch.tensor([self.row, self.column])
        low, high = torch.maximum(places, at), torch.minimum(places + size, at + self.size)
        return (high - low).clamp(min=0).prod(1) / self.size**2
