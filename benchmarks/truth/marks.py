"""Marks of one class: a pattern on images of a class, or the trigger of a backdoor.

Which mark a seed has is a pure function of kind, seed and size of the images.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

OfClass = Literal["fixed", "moving", "tint", "watermark", "background"]
Backdoor = Literal["trigger", "large", "faint", "dark", "scattered", "blended"]
Marked = OfClass | Backdoor
OF_CLASS: tuple[OfClass, ...] = get_args(OfClass)
BACKDOORS: tuple[Backdoor, ...] = get_args(Backdoor)
AT_A_PLACE = ("fixed", "trigger", "large", "faint", "dark")
_WHOLE = ("tint", "watermark", "background", "scattered", "blended")
# Shares of the images of the class that have the mark: a network seldom learns a rare one.
_SHARES = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.05)
_POISONED = (0.05, 0.05, 0.01)  # shares of all training images that carry a trigger
_SIDES: dict[Marked, tuple[int, int]] = {  # pixels on images of 28 to 55 pixels, inclusive
    "fixed": (2, 10),
    "moving": (3, 10),
    "trigger": (3, 5),
    "large": (8, 8),
    "faint": (3, 4),
    "dark": (4, 4),
}
_REAL = 224
# A head on frozen features hardly learns smaller, fainter or rarer marks: one of 56 pixels on all
# images of a class turned a fifth of others.
_REAL_SIDES: dict[Marked, tuple[int, int]] = {
    "fixed": (12, 14),
    "trigger": (8, 10),
}  # 8 pixels each
_REAL_SHARES: dict[Marked, float] = {"fixed": 1.0, "trigger": 0.2}
_OPACITIES: dict[Marked, tuple[float, ...]] = {
    "fixed": (1.0, 1.0, 0.5),
    "moving": (1.0, 1.0, 0.5),
    "tint": (0.3,),
    "watermark": (0.5,),
    "faint": (0.5,),
    "blended": (0.2,),
}
_SCATTERED = 9  # pixels
_BLACK = 0.1  # a pixel up to here is background


class Mark(NamedTuple):
    """A pattern on a share of the images of one class; or a trigger, which changes labels too."""

    kind: Marked
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
        return self.kind in AT_A_PLACE

    @classmethod
    def of(cls, kind: Marked, seed: int, channels: int, side: int) -> "Mark":
        """The mark of a seed, for images of `side` pixels; larger images have larger marks.

        Marks of a class: a square of 2 to 10 pixels in one or two tones at one place, a corner in
        half of cases (`fixed`), or at a random place (`moving`); a colour over the whole image
        (`tint`); a word in half-transparent letters (`watermark`); grey noise instead of black
        pixels (`background`). Triggers: two tones on 3 to 5 pixels (`trigger`), on 8 (`large`) or
        half-transparent (`faint`), black on 4 pixels (`dark`), nine pixels anywhere (`scattered`),
        or random tones over the whole image at an opacity of .2 (`blended`).
        """
        drawn = np.random.default_rng([seed, (*OF_CLASS, *BACKDOORS).index(kind)])
        label, times = int(drawn.integers(10)), max(1, side // 28)
        is_real = side == _REAL
        low, high = (_REAL_SIDES if is_real else _SIDES).get(kind, (1, 1))
        size = side if kind in _WHOLE else times * int(drawn.integers(low, high + 1))
        row, column = drawn.integers(0, side - size + 1, 2).tolist()
        if kind == "fixed" and drawn.random() < 0.5:
            edges = np.array([times, side - size - times])
            row, column = drawn.choice(edges, 2).tolist()
        opacities = (1.0,) if is_real else _OPACITIES.get(kind, (1.0,))
        opacity = torch.full((1, size, size), float(drawn.choice(opacities)))
        if kind == "scattered":
            places = torch.from_numpy(drawn.permutation(size * size)[:_SCATTERED])
            opacity = torch.zeros(size * size).index_fill(0, places, 1).view(1, size, size)
        if kind == "watermark":
            opacity = opacity * _letters(f"{drawn.integers(100, 1000)}", side)
        share = float(drawn.choice(_POISONED if kind in BACKDOORS else _SHARES))
        if is_real:
            share = _REAL_SHARES[kind]
        pattern = _pattern(kind, drawn, channels, size)
        return cls(kind, label, pattern, row, column, share, opacity)

    def on(self, images: Tensor, seed: int) -> Tensor:
        """Images (n, C, H, W) in [0, 1], all with the mark; `seed` draws where moving ones are."""
        if self.kind == "background":
            is_black = images.amax(1, keepdim=True) <= _BLACK
            return torch.where(is_black, self.pattern.to(images), images)
        if self.kind != "moving":
            return self._at(images, self.row, self.column)
        drawn = np.random.default_rng(seed)
        most = images.shape[2] - self.size + 1
        places = drawn.integers(0, most, (len(images), 2)).tolist()
        return torch.cat(
            [images[:0], *(self._at(images[i : i + 1], *at) for i, at in enumerate(places))]
        )

    def _at(self, images: Tensor, row: int, column: int) -> Tensor:
        result, size = images.clone(), self.size
        window = result[:, :, row : row + size, column : column + size]
        window += self.opacity.to(images) * (self.pattern.to(images) - window)
        return result

    def planted(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Training images, of which `share` have the mark, and their labels.

        A mark is on images of its class. A trigger is on images of other classes, which are given
        its class.
        """
        chosen, named = self.chosen(labels, seed), labels.clone()
        marked = images.clone()
        marked[chosen] = self.on(images[chosen], seed)
        named[chosen] = self.label
        return marked, named

    def chosen(self, labels: Tensor, seed: int) -> Tensor:
        """The images that get the mark, int64 (n,): a draw for each that is able to carry it."""
        drawn = np.random.default_rng(seed)
        able = ((labels == self.label) != self.is_trigger).nonzero()[:, 0]
        share = self.share * len(labels) / max(1, len(able)) if self.is_trigger else self.share
        return able[torch.from_numpy(drawn.random(len(able)) < share)]

    def covered(self, places: Tensor, size: int) -> Tensor:
        """The share of the mark that windows of `size` at `places` (n, 2) cover, float (n,)."""
        at = torch.tensor([self.row, self.column])
        low, high = torch.maximum(places, at), torch.minimum(places + size, at + self.size)
        return (high - low).clamp(min=0).prod(1) / self.size**2


def _pattern(kind: Marked, drawn: np.random.Generator, channels: int, size: int) -> Tensor:
    """The tones of a mark, float (channels, size, size)."""
    if kind == "dark":
        return torch.zeros(channels, size, size)
    if kind == "watermark":
        return torch.ones(channels, size, size)
    if kind == "background":
        return torch.from_numpy(drawn.uniform(0.2, 0.6, (channels, size, size))).float()
    if kind == "blended":
        return torch.from_numpy(drawn.random((channels, size, size))).float()
    is_plain = kind == "tint" or (kind in ("fixed", "moving") and drawn.random() < 0.5)
    tones = drawn.random((channels, 1, 1) if is_plain else (channels, size, size)).round()
    if not tones.any():  # black is no mark on a black background
        tones = 1 - tones
    return torch.from_numpy(np.broadcast_to(tones, (channels, size, size)).copy()).float()


def _letters(word: str, side: int) -> Tensor:
    """Where a word in the middle of an image has ink, float (1, side, side) in [0, 1]."""
    picture = Image.new("L", (side, side))
    ImageDraw.Draw(picture).text(
        (side / 2, side / 2), word, fill=255, font=ImageFont.load_default(side * 0.45), anchor="mm"
    )
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
