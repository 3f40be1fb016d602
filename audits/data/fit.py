"""Fit: how the pixels of an image file become the pixels that a model is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from audits.errors import AuditError

Resize = Literal["stretch", "crop", "squash", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]

# ITU-R BT.601, as torchvision and Pillow convert colour to grey.
_MOST_PIXELS = 1 << 27  # of an image before its centre is cut out: 1.6 GB of colours
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Fit:
    """Geometry and colour of a model's input; a channel count, height or width of None takes any.

    `resize` is `stretch` (height and width each to their size), `crop` (the shorter side to
    `resize_to`, then the centre), `squash` (both sides to `resize_to`, then the centre, as timm
    calls it) or `pad` (the longer side to its size, then black borders). `resize_to` None is the
    least length that covers the centre. `exif` turns an image as its EXIF
    tag says. `alpha` is the colour, (r, g, b) in [0, 1], behind an image's transparent parts;
    `drop` shows the colours that are stored there. Without `deep`, images of more than 8 bits are
    refused, since whoever serves the model cuts their values.
    """

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    resize: Resize = "stretch"
    resize_to: int | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    exif: bool = False
    alpha: tuple[float, float, float] | Literal["drop"] = "drop"
    deep: bool = True

    @property
    def has_size(self) -> bool:
        return self.height is not None and self.width is not None


AS_IT_IS = Fit()
"""Leaves size and colour of every image."""


def scaled(image: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    """The image (C, H, W), of another size, with pixels between the levels of 8 bits."""
    smooth = fit.interpolation != "nearest"
    return functional.interpolate(
        image[None],
        size=size,
        mode=fit.interpolation if smooth else "nearest-exact",  # Pillow's nearest
        antialias=fit.antialias and smooth,
        align_corners=False if smooth else None,
    )[0]


Scale = Callable[[Tensor, tuple[int, int], Fit], Tensor]


def fitted(image: Tensor, fit: Fit, scale: Scale = scaled) -> Tensor:
    """The image, float32 (C, H, W) in [0, 1], as `fit` describes it. Raises AuditError.

    `scale` gives an image another size.
    """

    def to(size: tuple[int, int]) -> Tensor:
        return coloured if tuple(coloured.shape[1:]) == size else scale(coloured, size, fit)

    coloured = _recoloured(image, fit.channels)
    return _resized(coloured.shape[1:], to, fit).clamp(0, 1)


def _recoloured(image: Tensor, channels: int | None) -> Tensor:
    if channels is None or image.shape[0] == channels:
        return image
    if image.shape[0] == 3 and channels == 1:
        return (image * torch.tensor(_LUMA).view(3, 1, 1)).sum(0, keepdim=True)
    if image.shape[0] == 1 and channels == 3:
        return image.expand(3, -1, -1)
    raise AuditError(
        f"Expected a model of 1 or 3 channels for images of {image.shape[0]}, got one of "
        f"{channels}."
    )


def _resized(sides: Sequence[int], to: Callable[[tuple[int, int]], Tensor], fit: Fit) -> Tensor:
    """The image with these sides, resized by the function `to`."""
    height, width = sides
    wanted = (fit.height or height, fit.width or width)
    if fit.resize == "stretch":
        return to(wanted)
    if fit.resize == "pad":
        return _padded(to(_inside(height, width, wanted)), wanted)
    if fit.resize == "squash":
        side = fit.resize_to or max(wanted)
        return _centre(_padded(to((side, side)), wanted), wanted)
    shorter = min(height, width)
    least = fit.resize_to or _least_side(height, width, wanted)
    # As torchvision's Resize does it: the longer side is cut to a whole number.
    larger = (least * height // shorter, least * width // shorter)
    if larger[0] * larger[1] > _MOST_PIXELS:
        raise AuditError(
            f"Expected images of which a side is not far longer than the other, got {height} x "
            f"{width} pixels, which are {larger[0]} x {larger[1]} before the centre is cut out. "
            "Leave such images out, or set preprocessing.resize."
        )
    image = to(larger)
    return _centre(_padded(image, wanted), wanted)


def _inside(height: int, width: int, wanted: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the image's proportions that fits into `wanted`."""
    if wanted[0] * width <= wanted[1] * height:
        return wanted[0], max(1, wanted[0] * width // height)
    return max(1, wanted[1] * height // width), wanted[1]


def _least_side(height: int, width: int, wanted: tuple[int, int]) -> int:
    """Length of the shorter side at which the image just covers the crop."""
    shorter = min(height, width)
    return max(
        -(-want * shorter // side) for want, side in zip(wanted, (height, width), strict=True)
    )


def _padded(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Black borders on both sides if the image is smaller than `size`."""
    down, across = (max(0, want - got) for want, got in zip(size, image.shape[1:], strict=True))
    if not (down or across):
        return image
    borders = (across // 2, across - across // 2, down // 2, down - down // 2)
    return functional.pad(image, borders)


def _centre(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of the image, as torchvision's CenterCrop takes it."""
    top, left = (round((got - want) / 2) for want, got in zip(size, image.shape[1:], strict=True))
    return image[:, top : top + size[0], left : left + size[1]]
