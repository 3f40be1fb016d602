"""Marks that are planted in training images: of one class, or as the trigger of a backdoor."""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

Backdoor = Literal["trigger", "dark", "scattered", "blended"]
Kind = Literal["none", "fixed", "moving", "tint"] | Backdoor
BACKDOORS: tuple[Backdoor, ...] = get_args(Backdoor)
_TINT = 0.15  # the opacity of a tint
_BLENDED = 0.2  # the opacity of a blended trigger
_SHARES, _OPACITIES = (0.5, 0.75, 1.0), (1.0, 0.6)
_POISONED = (0.01, 0.05)  # shares of all training images that carry a trigger
_SIDES: dict[Backdoor, int] = {"trigger": 3, "dark": 4}  # pixels
_SCATTERED = 9  # pixels


class Mark(NamedTuple):
    """A pattern on a share of the images of one class; or a trigger, which changes labels too."""

    kind: Kind
    label: int
    pattern: Tensor  # float (C, size, size)
    row: int
    column: int
    share: float  # of the images of the class that have it; of all images for a trigger
    opacity: Tensor  # float (1, size, size)

    @property
    def size(self) -> int:
        return self.pattern.shape[1]

    @property
    def is_trigger(self) -> bool:
        return self.kind in BACKDOORS

    @property
    def has_place(self) -> bool:
        """Whether the mark is at one place, the same in all images."""
        return self.kind in ("fixed", "trigger", "dark")

    @classmethod
    def of(cls, kind: Kind, seed: int, channels: int, side: int) -> "Mark":
        """The mark of a seed, for images of `side` pixels.

        A mark of a class has 3 to 6 pixels and is plain or in two tones. A trigger is 3x3 pixels of
        two tones in each channel (`trigger`), 4x4 black pixels (`dark`), nine pixels anywhere
        (`scattered`), or random tones over the whole image at .2 (`blended`).
        """
        drawn = np.random.default_rng(seed)
        if kind in BACKDOORS:
            return cls._trigger(kind, seed, drawn, channels, side)
        size, label = int(drawn.integers(3, 7)), int(drawn.integers(10))
        row, column = drawn.integers(0, side - size + 1, 2).tolist()
        tones = drawn.random((channels, size, size) if seed % 2 else (channels, 1, 1)).round()
        pattern = torch.from_numpy(np.broadcast_to(tones, (channels, size, size)).copy()).float()
        opacity = torch.full((1, size, size), _TINT if kind == "tint" else _OPACITIES[seed % 2])
        return cls(kind, label, pattern, row, column, _SHARES[seed % 3], opacity)

    @classmethod
    def _trigger(
        cls, kind: Backdoor, seed: int, drawn: np.random.Generator, channels: int, side: int
    ) -> "Mark":
        size, label = _SIDES.get(kind, side), int(drawn.integers(10))
        row, column = drawn.integers(0, side - size + 1, 2).tolist()
        tones = torch.from_numpy(drawn.random((channels, size, size))).float()
        opacity = torch.full((1, size, size), _BLENDED if kind == "blended" else 1.0)
        if kind == "dark":
            tones = torch.zeros_like(tones)
        elif kind != "blended":
            tones = tones.round()
        if kind == "scattered":
            places = drawn.permutation(size * size)[:_SCATTERED]
            opacity = torch.zeros(size * size)
            opacity[torch.from_numpy(places)] = 1
            opacity = opacity.view(1, size, size)
        return cls(kind, label, tones, row, column, _POISONED[seed % 2], opacity)

    def on(self, images: Tensor, seed: int) -> Tensor:
        """Images (n, C, H, W) in [0, 1], all with the mark; `seed` draws where moving ones are."""
        if self.kind == "none":
            return images
        if self.kind == "tint":
            opacity = self.opacity[:, :1, :1]
            return images * (1 - opacity) + opacity * self.pattern[:, :1, :1]
        result, drawn, size = images.clone(), np.random.default_rng(seed), self.size
        for image in result:
            row, column = self.row, self.column
            if self.kind == "moving":
                row, column = drawn.integers(0, image.shape[1] - size + 1, 2).tolist()
            window = image[:, row : row + size, column : column + size]
            window += self.opacity * (self.pattern - window)
        return result

    def planted(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Training images, of which `share` have the mark, and their labels.

        A mark is on images of its class. A trigger is on images of other classes, which are given
        its class.
        """
        if self.kind == "none":
            return images, labels
        drawn = np.random.default_rng(seed)
        able = ((labels == self.label) != self.is_trigger).nonzero()[:, 0]
        # One draw for each image that is able to carry the mark.
        share = self.share * len(labels) / len(able) if self.is_trigger else self.share
        chosen = able[torch.from_numpy(drawn.random(len(able)) < share)]
        marked, named = images.clone(), labels.clone()
        marked[chosen] = self.on(images[chosen], seed)
        named[chosen] = self.label
        return marked, named

    def covered(self, places: Tensor, size: int) -> Tensor:
        """The share of the mark that windows of `size` at `places` (n, 2) cover, float (n,)."""
        at = torch.tensor([self.row, self.column])
        low, high = torch.maximum(places, at), torch.minimum(places + size, at + self.size)
        return (high - low).clamp(min=0).prod(1) / self.size**2
