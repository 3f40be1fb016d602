"""Images that are resized with 8 bits a value, as servers do it, in place of the audit's floats."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audits.data.fit import Fit, Scale, scaled

_LEVELS = 255
_OF_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def ways(fit: Fit) -> dict[str, Scale]:
    """Functions that resize, by the way in words: as OpenCV, as torchvision's tensors, as Pillow.

    They differ in how often they round. Pillow smoothes whatever it makes smaller, so it is left
    out for a fit without `antialias`.
    """
    found: dict[str, Scale] = {"to 8 bits": _once, "to 8 bits by torch": _by_torch}
    return {**found, "to 8 bits by Pillow": _by_pillow} if fit.antialias else found


def _once(image: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    return _bytes(scaled(image, size, fit)) / _LEVELS


def _by_torch(image: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    return scaled(_bytes(image), size, fit) / _LEVELS


def _by_pillow(image: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    """Rounds after the rows and again after the columns."""
    planes = (Image.fromarray(plane) for plane in _bytes(image).numpy())
    resized = [plane.resize(size[::-1], _OF_PILLOW[fit.interpolation]) for plane in planes]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in resized])) / _LEVELS


def _bytes(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * _LEVELS).round().to(torch.uint8)
