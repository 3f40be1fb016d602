"""Corruptions: images with noise, blurred, brighter, ..., by a pure function of seed and image.

The amounts of the five strengths are those of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv
1903.12261; the file make_cifar_c.py of their code), made for images of 32 pixels. An amount that is
a length grows with the image's shorter side. Shifts and rotations have no strengths there: the
strongest shift, 3 of 28 pixels, is that of Engstrom et al. 2019 (arXiv 1712.02779), and the
strongest rotation is half of theirs.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from audits.checks._shared.moves import offsets, shifted
from fillblanks.masks import keys
from fillblanks.synthesis.draws import Draws

Corruption = Literal["noise", "blur", "brightness", "contrast", "jpeg", "shift", "rotation"]
Strength = Literal[1, 2, 3, 4, 5]

_SIGN_DRAW = -6  # masks use keys of the draws 0, 1, ...
_SIDE = 32  # pixels of the images of CIFAR-10-C
_REACH = 3  # standard deviations of a blur's kernel on each side
_WHITE = 255


class Images(NamedTuple):
    """Images, float32 (n, C, H, W) in [0, 1], and who they are."""

    pixels: Tensor
    seed: int
    indices: Sequence[int]  # in the data set


def corrupted(images: Images, corruption: Corruption, amount: float) -> Tensor:
    """The images under one corruption, float32 (n, C, H, W) in [0, 1].

    The unit of `amount` is that of `KINDS`; 0 changes nothing but for rounding (of `contrast` 1
    does, and of `jpeg` no amount). Raises ValueError for a shift of images of one pixel.
    """
    return KINDS[corruption].change(images, amount).clamp(0, 1)


def _noisy(images: Images, amount: float) -> Tensor:
    """With normal noise of this standard deviation; an image has the same noise at any strength."""
    n, *shape = images.pixels.shape
    count = shape[0] * shape[1] * shape[2]
    noise = Draws(images.seed, torch.tensor(list(images.indices))).normal("noise", 0, count)
    return images.pixels + amount * noise.reshape(n, *shape).to(images.pixels.dtype)


def _blurred(images: Images, amount: float) -> Tensor:
    """Blurred with a standard deviation of this share of the shorter side; edges are reflected."""
    # Takes seconds to load, and every process loads this module.
    from torchvision.transforms.v2 import functional as transforms

    height, width = images.pixels.shape[2:]
    sigma = amount * min(height, width)
    if not sigma:
        return images.pixels
    across, down = (min(2 * int(_REACH * sigma + 1) + 1, 2 * side - 1) for side in (width, height))
    # A Gaussian is the product of one across and one down, which take far less time.
    rows = transforms.gaussian_blur(images.pixels, [across, 1], [sigma, sigma])
    return transforms.gaussian_blur(rows, [1, down], [sigma, sigma])


def _lit(images: Images, amount: float) -> Tensor:
    """Half of the images brighter, half darker, by this much of V in HSV.

    Colours keep hue and saturation; a black pixel becomes grey.
    """
    value = images.pixels.amax(1, keepdim=True)
    changed = (value + amount * _signs(images).view(-1, 1, 1, 1)).clamp(0, 1)
    scaled = images.pixels * (changed / value.clamp(min=torch.finfo(value.dtype).tiny))
    return torch.where(value > 0, scaled, changed)


def _flattened(images: Images, amount: float) -> Tensor:
    """With differences to each channel's mean times this much."""
    mean = images.pixels.mean((2, 3), keepdim=True)
    return (images.pixels - mean) * amount + mean


def _compressed(images: Images, amount: float) -> Tensor:
    """As a JPEG file of this quality stores them."""
    stored = (images.pixels * _WHITE).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    found = np.stack([_as_jpeg(array, round(amount)) for array in stored])
    return torch.from_numpy(found).permute(0, 3, 1, 2).to(images.pixels.dtype) / _WHITE


def _as_jpeg(array: np.ndarray, quality: int) -> np.ndarray:
    """An image, uint8 (H, W, 1) or (H, W, 3), written as JPEG and read again."""
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(
        file, "jpeg", quality=quality
    )
    return np.asarray(Image.open(file)).reshape(array.shape)


def _moved(images: Images, amount: float) -> Tensor:
    """Moved by this share of the shorter side along one axis or both; edges are reflected.

    A shift that is not 0 is at least a pixel. Images of a single row or column move along the
    other axis.
    """
    height, width = images.pixels.shape[2:]
    pixels = shift_pixels(amount, height, width)
    ways = offsets(images.seed, images.indices, int(height > 1), int(width > 1))
    return shifted(images.pixels, ways * pixels)


def shift_pixels(amount: float, height: int, width: int) -> int:
    """Pixels of a shift by this share of the shorter side; a side of one pixel does not count."""
    side = min((side for side in (height, width) if side > 1), default=0)
    if not side:
        raise ValueError("Expected images of more than one pixel, which can move.")
    return max(1, int(amount * side + 0.5)) if amount else 0


def _turned(images: Images, amount: float) -> Tensor:
    """Half of the images turned to the left, half to the right, by this many degrees.

    The image goes on beyond its edges as its own mirror image.
    """
    n, _, height, width = images.pixels.shape
    angle = torch.deg2rad(amount * _signs(images)).double()
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros(n, dtype=torch.double)
    matrix = torch.stack(
        [cos, -sin * height / width, none, sin * width / height, cos, none], dim=1
    ).view(n, 2, 3)
    pixels = images.pixels.double()
    grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
    found = functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return found.to(images.pixels.dtype)


def _signs(images: Images) -> Tensor:
    """-1.0 or 1.0 for each image, float32 (n,), of which the seed decides."""
    indices = torch.tensor(list(images.indices))
    drawn = keys(images.seed, indices, torch.full_like(indices, _SIGN_DRAW), 1)[:, 0]
    return torch.where(drawn < 0, -1.0, 1.0)


class Kind(NamedTuple):
    """A corruption: how it changes images, its amounts at the strengths 1 to 5, and its words."""

    change: Callable[[Images, float], Tensor]
    amounts: tuple[float, float, float, float, float]
    told: str  # "images with noise"
    noun: str  # "noise"
    by_pixel: bool = False  # harder or easier for images of another size


def _of_side(*lengths: float, side: int = _SIDE) -> tuple[float, float, float, float, float]:
    one, two, three, four, five = (length / side for length in lengths)
    return one, two, three, four, five


KINDS: Mapping[Corruption, Kind] = {
    "noise": Kind(_noisy, (0.04, 0.06, 0.08, 0.09, 0.1), "images with noise", "noise", True),
    "blur": Kind(_blurred, _of_side(0.4, 0.6, 0.7, 0.8, 1), "blurred images", "blur"),
    "brightness": Kind(
        _lit, (0.05, 0.1, 0.15, 0.2, 0.3), "images made brighter or darker", "brightness"
    ),
    "contrast": Kind(
        _flattened, (0.75, 0.5, 0.4, 0.3, 0.15), "images with less contrast", "contrast"
    ),
    "jpeg": Kind(_compressed, (80, 65, 58, 50, 40), "images stored as JPEG", "JPEG", True),
    "shift": Kind(_moved, _of_side(1, 1.5, 2, 2.5, 3, side=28), "moved images", "shift"),
    "rotation": Kind(_turned, (3, 6, 9, 12, 15), "turned images", "rotation"),
}
"""The corruptions. Amounts: the noise's standard deviation (white is 1); the blur's, as a share of
the shorter side; the change of V in HSV; the factor of contrast; the quality of JPEG; the shift as
a share of the shorter side; degrees."""


def amount_told(corruption: Corruption, strength: Strength, shape: tuple[int, int, int]) -> str:
    """The amount of a strength for images of this shape (C, H, W), with its unit."""
    amount, (height, width) = KINDS[corruption].amounts[strength - 1], shape[1:]
    if corruption == "blur":
        return f"standard deviation in pixels: {amount * min(height, width):.2g}"
    if corruption == "shift":
        pixels = shift_pixels(amount, height, width)
        return f"{pixels} pixel{'s' * (pixels != 1)}"
    units = {
        "noise": "standard deviation of {:g} of white",
        "brightness": "{:g} of white brighter or darker",
        "contrast": "{:g} of the contrast",
        "jpeg": "quality {:g}",
        "rotation": "{:g} degrees",
    }
    return units[corruption].format(amount)
