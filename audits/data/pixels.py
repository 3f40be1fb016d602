"""Pixels: an image as its file stores it, and the tensor that is made of it."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.data.fit import Fit
from audits.errors import AuditError

# How far rounding (an antialiased resize, say) may take a float value out of [0, 1].
_ROUNDING = 1e-4


class Pixels(NamedTuple):
    """Pixels of one image, not yet turned, and what its file says about them.

    `array` is uint8, uint16 or float in [0, 1], of shape (H, W) or (H, W, C). With `alpha` the last
    of the C channels says how opaque a pixel is. `orientation` is the EXIF tag's value, 1 to 8.
    """

    array: np.ndarray
    orientation: int = 1
    alpha: bool = False


def to_tensor(pixels: Pixels, fit: Fit, name: str) -> Tensor:
    """Float32 (C, H, W) in [0, 1], turned if `fit.exif` asks for it, and without an alpha channel.

    An array of 4 channels that is not known to have alpha is taken for RGBA if `fit.alpha` names a
    colour. Raises AuditError, with `name`, for any other shape or dtype and for values outside.
    """
    image = pixels.array
    if image.ndim == 2:
        image = image[:, :, None]
    has_alpha = pixels.alpha or (image.shape[2:] == (4,) and fit.alpha != "drop")
    colours = image.shape[2] - has_alpha if image.ndim == 3 else 0
    if colours not in (1, 3) or 0 in image.shape:
        hint = (
            " Name preprocessing.alpha if the fourth is alpha." if image.shape[2:] == (4,) else ""
        )
        raise AuditError(
            f"Expected images of shape (H, W), (H, W, 1) or (H, W, 3), got {image.shape} in "
            f"{name}.{hint}"
        )
    unit = _in_unit_range(image, name)
    if fit.exif:
        unit = _turned(unit, pixels.orientation)
    if has_alpha:
        unit = _opaque(unit, fit.alpha)
    return torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1), dtype=np.float32))


def _in_unit_range(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype in (np.uint8, np.uint16):
        return image / np.float32(np.iinfo(image.dtype).max)
    if not np.issubdtype(image.dtype, np.floating):
        raise AuditError(f"Expected uint8, uint16 or float images, got {image.dtype} in {name}.")
    low, high = image.min(), image.max()
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise AuditError(
            f"Expected float images in [0, 1], got values from {low} to {high} in {name}. Divide "
            "by 255, or store them as uint8."
        )
    return image.clip(0, 1)


def _turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image (H, W, C) upright. Orientation as in EXIF 2.32, section 4.6.4, tag 0x0112."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _opaque(image: np.ndarray, behind: tuple[float, float, float] | Literal["drop"]) -> np.ndarray:
    """The image without its last channel, over the colour `behind`."""
    colour, opaque = image[:, :, :-1], image[:, :, -1:]
    if behind == "drop":
        return colour
    if len(set(behind)) > 1:
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    background = np.array(behind[: colour.shape[2]], dtype=np.float32)
    return colour * opaque + background * (1 - opaque)
