"""Forms in which servers hand an image to a network: their formulas, and pixels of more bits.

Servers compute (pixel - mean) / std in many ways, whose results differ in their last bits.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

LEVELS = 255
_STEPS = 2  # of a number's last place
_LEAST_SIZE, _MOST_SIZE = 1.5, 2.5  # of the larger image, by the size of the image
_CHANCE = random.SystemRandom()  # nobody can foresee it

Formula = Callable[[Tensor], Tensor]


def drawn() -> torch.Generator:
    """A generator whose seed the operating system has drawn."""
    return torch.Generator().manual_seed(_CHANCE.getrandbits(63))


def formulas(mean: Sequence[float], std: Sequence[float]) -> list[Formula]:
    """Functions from levels, float32 (..., C, H, W) in 0 to 255, to normalised pixels, float32.

    `mean` and `std` are those of pixels in [0, 1], a number or one a channel. No two functions give
    the same numbers for all levels. The formulas are those of torchvision, transformers, Keras,
    OpenCV and albumentations, and scale and bias as TFLite, CoreML and TensorRT fold them, with
    constants that are rounded at the end or at each step.
    """
    exact = [torch.tensor(v, dtype=torch.float64).reshape(-1, 1, 1) for v in (mean, std)]
    found: dict[bytes, Formula] = {}
    channels = max(one.numel() for one in exact)
    levels = torch.arange(LEVELS + 1.0).expand(channels, 1, -1)
    for formula in _all_formulas(*exact):
        found.setdefault(formula(levels).numpy().tobytes(), formula)
    return list(found.values())


def _all_formulas(mean: Tensor, std: Tensor) -> list[Formula]:
    m, s = mean.float(), std.float()
    tiny = torch.tensor(1 / LEVELS)
    pixels: list[Formula] = [
        lambda x: x / LEVELS,
        lambda x: x * tiny,
        lambda x: (x.double() * (1 / LEVELS)).float(),
    ]
    # As they are, with the reciprocal of std and with -mean / std.
    exact = ((1 / std).float(), (-mean / std).float())
    rounded = (1 / s, -m / s)
    found: list[Formula] = []
    for pixel in pixels:
        found.append(_then(pixel, lambda x: (x - m) / s))
        for by, bias in (exact, rounded):
            found += [_then(pixel, one) for one in _products(m, by, bias)]
    found += [
        lambda x: ((x.double() / LEVELS - mean) / std).float(),
        lambda x: ((x.double() * (1 / LEVELS) - mean) / std).float(),
    ]
    whole = (
        ((LEVELS * mean).float(), (LEVELS * std).float(), (1 / (LEVELS * std)).float(), exact[1]),
        (LEVELS * m, LEVELS * s, 1 / (LEVELS * s), rounded[1]),
    )
    for shift, size, by, bias in whole:
        found.append(_by_division(shift, size))
        found.append(_by_division_first(size, bias))
        found += _products(shift, by, bias)
    return found


def _then(first: Formula, second: Formula) -> Formula:
    return lambda x: second(first(x))


def _by_division(shift: Tensor, size: Tensor) -> Formula:
    return lambda x: (x - shift) / size


def _by_division_first(size: Tensor, bias: Tensor) -> Formula:
    return lambda x: x / size + bias


def _products(shift: Tensor, by: Tensor, bias: Tensor) -> list[Formula]:
    """Shifted and then scaled; scaled and then shifted, with the product rounded and not."""
    return [
        lambda x: (x - shift) * by,
        lambda x: x * by + bias,
        lambda x: (x.double() * by + bias).float(),
    ]


def of_levels(inputs: Tensor, levels: Tensor) -> Tensor:
    """`inputs` (N, C, H, W) with other last bits, the same ones for each level of an image."""
    steps = _steps((*inputs.shape[:2], LEVELS + 1)).to(inputs)
    which = levels.round().long().clamp(0, LEVELS).flatten(2)
    return _moved(inputs, steps.gather(2, which).reshape(inputs.shape))


def of_pixels(inputs: Tensor) -> Tensor:
    """`inputs` (N, C, H, W) with other last bits, drawn for each pixel."""
    return _moved(inputs, _steps(inputs.shape).to(inputs))


def _steps(shape: Sequence[int]) -> Tensor:
    return torch.randint(-_STEPS, _STEPS + 1, tuple(shape), generator=drawn())


def _moved(inputs: Tensor, steps: Tensor) -> Tensor:
    return inputs * (1 + steps * torch.finfo(inputs.dtype).eps)


def of_more_bits(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] whose levels are `images`, with pixels between them."""
    fractions = torch.rand(images.shape, generator=drawn()).to(images) - 0.5
    return (images + fractions / LEVELS).clamp(0, 1)


def resized(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1], enlarged and made smaller again with floats.

    Size, place within a pixel and interpolation are drawn anew. A black area stays black.
    """
    size = [round(edge * _CHANCE.uniform(_LEAST_SIZE, _MOST_SIZE)) for edge in images.shape[-2:]]
    mode = _CHANCE.choice(("bilinear", "bicubic"))
    shift = torch.tensor([_CHANCE.uniform(-1, 1) / edge for edge in reversed(images.shape[-2:])])
    turn = torch.cat([torch.eye(2), shift[:, None]], 1).to(images)
    at = torch.nn.functional.affine_grid(
        turn.expand(len(images), 2, 3), [*images.shape[:2], *size], align_corners=False
    )
    larger = grid_sample(images, at, mode=mode, padding_mode="border", align_corners=False)
    smaller = torch.nn.functional.interpolate(
        larger, images.shape[-2:], mode="bilinear", antialias=True, align_corners=False
    )
    return smaller.clamp(0, 1)


def rounded(images: Tensor) -> Tensor:
    """Images in [0, 1] as they are with 8 bits a value."""
    return (images * LEVELS).round() / LEVELS
