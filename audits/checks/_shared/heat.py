"""An image under its map of evidence, and how to read the colours."""

import numpy as np
from torch import Tensor

from audits.checks._shared.images import picture, signed_picture
from audits.checks._shared.maps import UNSIGNED, MethodName

_HIGHEST = 0.85  # opacity of the strongest evidence


def heat(image: Tensor, values: Tensor) -> np.ndarray:
    """The image (C, H, W) in grey under its map (H, W), uint8 (H, W, 3).

    Red is positive, blue negative, and 0 shows the image alone.
    """
    grey = picture(image.mean(0, keepdim=True)).astype(float)
    colour = signed_picture(values[None]).astype(float)
    strength = values.abs() / values.abs().max().clamp(min=1e-12)
    opacity = _HIGHEST * strength.double().numpy()[:, :, None]
    mixed: np.ndarray = (grey * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return mixed


def signs_told(method: MethodName) -> str:
    """A sentence that says what the colours stand for."""
    if method in UNSIGNED:
        return "The redder a place, the more the answer rests on it; this map has no sign."
    return (
        "Red places speak for the answer, blue ones against it; the paler, the less. The scale is "
        "each map's own."
    )
