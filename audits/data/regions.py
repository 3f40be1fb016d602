"""Regions: the part of each image that a person has outlined, by a mask or a box."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audits.data.files_beside import FilesBeside, expect_files
from audits.data.fit import Fit, fitted
from audits.data.imageset import ImageSet
from audits.data.pixels import to_tensor
from audits.data.region_boxes import Boxes
from audits.errors import AuditError
from audits.strict import PlaceName

_HALF = 0.5  # of the lightest pixel of a mask
_COLOURED = 0.25  # share of a pixel's light by which another colour differs
_MOST_LEVELS = 32  # of grey in a mask of class numbers
_NEARLY = 0.9  # of the lightest pixel: as light, if the edges were made sharper
_LEAST_AREA = 0.01  # of a mask

Told = PlaceName | tuple[str, str, str, str]
"""A folder of masks, or the columns of boxes: left, top, right, bottom."""


class Regions:
    """The regions of `images`, from a folder of masks or from columns of boxes.

    See `Masks` and `Boxes`. Raises AuditError unless every image is a file and has one mask or box.
    """

    def __init__(self, told: Told, images: ImageSet):
        expect_files(images, "regions")
        self._images = images
        self._outlines = Masks(told, images) if isinstance(told, str) else Boxes(told, images)

    def tensor(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The regions of images as the model takes them, bool (n, H, W). Raises AuditError."""
        return torch.stack([self._region(int(i)) for i in indices])

    def _region(self, index: int) -> Tensor:
        fit = replace(self._images.fit, channels=None)
        inside = self._outlines.inside(index, fit)
        region = fitted(inside.float(), fit)[0] >= _HALF
        shape = self._images.tensor([index]).shape[2:]
        if region.shape != shape:
            raise AuditError(
                f"Expected a mask of the size of its image, {tuple(shape)}, got "
                f"{tuple(region.shape)}: {self._outlines.name(index)}."
            )
        return region

    def digest(self, indices: Sequence[int] | np.ndarray) -> str:
        """sha256 of the masks or boxes of these images."""
        digest = hashlib.sha256()
        for i in indices:
            digest.update(self._outlines.sha256(int(i)))
        return digest.hexdigest()


class Masks(FilesBeside):
    """Masks in `folder`, named like the images: `cats/7.png` or `7.png` for `.../cats/7.jpg`.

    A mask has the size of its image. What is at least half as light as its lightest pixel is in the
    region; a black mask has none. Raises AuditError unless every image is a file and has one mask,
    and for masks of class numbers, in colours or in several greys.
    """

    one: ClassVar[str] = "mask"
    all: ClassVar[str] = "regions"

    def inside(self, index: int, fit: Fit) -> Tensor:
        """What is light in the mask of an image, bool (1, H, W), before it is fitted."""
        mask = self._files[index]
        values = to_tensor(mask.pixels(None), fit, mask.name)
        light = values.amax(0, keepdim=True)
        region = (light >= _HALF * light.max()) & (light > 0)
        if _has_numbers(light) or _has_colours(values[:, region[0]]):
            raise AuditError(
                f"Expected a mask that is white in the region and black elsewhere, got several "
                f"colours or greys, as of class numbers: {mask.name}. Save a mask of the object "
                "alone."
            )
        return region


def _has_colours(lit: Tensor) -> bool:
    """Whether the lit pixels of a mask, (C, n), have more colours than one, bright or dark."""
    if not lit.shape[1]:
        return False
    hue = lit / lit.amax(0)
    other = (hue - hue.median(1, keepdim=True).values).abs().amax(0) > _COLOURED
    return bool(other.float().mean() > _LEAST_AREA)


def _has_numbers(light: Tensor) -> bool:
    """Whether areas of a mask, (1, H, W), have a grey between its lightest and its darkest.

    Soft edges have such greys too, but no areas of one grey; what was stored as JPEG has many.
    """
    if not 2 < len(light.unique()) <= _MOST_LEVELS:
        return False
    highest = functional.max_pool2d(light[None], 3, 1, 1)[0]
    lowest = -functional.max_pool2d(-light[None], 3, 1, 1)[0]
    even = (highest == lowest) & (light > light.min()) & (light < _NEARLY * light.max())
    return bool(even.float().mean() > _LEAST_AREA)
