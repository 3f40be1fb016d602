"""Regions: the part of each image that a person has outlined, by a mask or a box."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audits.data.encoded import Encoded, Stamp
from audits.data.fit import Fit, fitted
from audits.data.imageset import ImageSet
from audits.data.pixels import to_tensor
from audits.data.region_boxes import Boxes
from audits.data.scan import named
from audits.errors import AuditError

_HALF = 0.5  # of the lightest pixel of a mask


Told = str | tuple[str, str, str, str]
"""A folder of masks, or the columns of boxes: left, top, right, bottom."""


class Regions:
    """The regions of `images`, from a folder of masks or from columns of boxes.

    Masks are named like the images: `cats/7.png` or `7.png` for `.../cats/7.jpg`. A mask has the
    size of its image. What is at least half as light as its lightest pixel is in the region; a
    black mask has none. See `Boxes` for the columns. Raises AuditError unless every image is a file
    and has one mask or box.
    """

    def __init__(self, told: Told, images: ImageSet):
        self._images = images
        if len(images.files) != len(images):
            raise AuditError(
                f"Expected images that are files of their own, which regions are named like, got "
                f"{images.name}. Take data of kind folder, csv or table, without a secret sample."
            )
        self._outlines = _Masks(told, images) if isinstance(told, str) else Boxes(told, images)

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


class _Masks:
    """Masks in a folder, one for each image."""

    def __init__(self, folder: str, images: ImageSet):
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise AuditError(f"Expected a folder of masks at {place}, found none.")
        masks: dict[tuple[str, ...], list[Path]] = {}
        for file in sorted(place.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                masks.setdefault((file.parent.name, file.stem), []).append(file)
                if file.parent == place:
                    masks.setdefault((file.stem,), []).append(file)
        found = [
            masks.get((image.parent.name, image.stem)) or masks.get((image.stem,), [])
            for image in images.files
        ]
        odd = [str(images.files[i]) for i, files in enumerate(found) if len(files) != 1]
        if odd:
            raise AuditError(
                f"Expected one mask in {place} for each image, named like it, got none or several "
                f"for {len(odd)} of {len(images)}: {named(odd)}."
            )
        counts = Counter(files[0] for files in found)
        shared = [str(file) for file, count in counts.items() if count > 1]
        if shared:
            raise AuditError(
                f"Expected a mask of its own for each image, got {len(shared)} in {place} for "
                f"several images: {named(shared)}. Put masks into folders, as "
                "the images are."
            )
        self._masks = [Encoded(str(files[0]), files[0]) for files in found]

    def inside(self, index: int, fit: Fit) -> Tensor:
        """What is light in the mask of an image, bool (1, H, W), before it is fitted."""
        mask = self._masks[index]
        light = to_tensor(mask.pixels(None), fit, mask.name).amax(0, keepdim=True)
        return (light >= _HALF * light.max()) & (light > 0)

    def sha256(self, index: int) -> bytes:
        mask = self._masks[index]
        stamp = mask.stamp()
        known = stamp is not None and stamp.settled
        return _remembered(mask, stamp) if known else _sha256(mask)

    def name(self, index: int) -> str:
        return self._masks[index].name


def _sha256(mask: Encoded) -> bytes:
    return hashlib.sha256(mask.content()).digest()


@lru_cache(maxsize=1 << 17)
def _remembered(mask: Encoded, stamp: Stamp) -> bytes:
    """The hash of a mask, which is read again only if its stamp has changed."""
    return _sha256(mask)
