"""Forms in which servers hand an image to a network: their formulas, and pixels of more bits.

Servers compute (pixel - mean) / std in many ways, whose results differ in their last bits.
"""

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from audits.data.fit import Fit, scaled
from audits.data.resized_bytes import ways

LEVELS = 255
_STEPS = 2  # of a number's last place; 1 in half precision, whose places are large
_BITS_OF_HALVES = 16
_LEAST_SIZE, _MOST_SIZE = 1.5, 2.5  # of the larger image, by the size of the image
# Steps from one level of 8 bits to the next: of images with more bits, and of means of 8 bits.
_MORE_BITS = {f"of {bits} bits": (2**bits - 1) / LEVELS for bits in (10, 12, 14, 16)}
_MEANS = {f"of means of {count}": float(count) for count in (2, 3, 4, 5, 6, 8, 9, 16)}
_ALWAYS, _OTHERS = "of 16 bits", 3  # lattices for a network that is no quick one
_FACTORS, _LEAST_SIDE = (2, 3, 4), 7  # of enlarged images, and of the smaller ones in pixels
_GAMMA = 0.15  # the standard deviation of the logarithm of an exponent
_CHANCE = random.SystemRandom()  # nobody can foresee it

Formula = Callable[[Tensor], Tensor]


def drawn() -> torch.Generator:
    """A generator whose seed the operating system has drawn."""
    return torch.Generator().manual_seed(_CHANCE.getrandbits(63))


def formulas(
    mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
) -> list[Formula]:
    """Functions from levels, float32 (..., C, H, W) in 0 to 255, to normalised pixels, `dtype`.

    `mean` and `std` are those of pixels in [0, 1], a number or one a channel. No two functions give
    the same numbers for all levels. The formulas are those of torchvision, transformers, Keras,
    OpenCV and albumentations, and scale and bias as TFLite, CoreML and TensorRT fold them, with
    constants that are rounded at the end or at each step. They are computed in float32 and, if
    that is another one, in `dtype`, also from pixels of float32.
    """
    m, s = (torch.tensor(v, dtype=torch.float64).reshape(-1, 1, 1) for v in (mean, std))
    found: dict[bytes, Formula] = {}
    channels = max(m.numel(), s.numel())
    levels = torch.arange(LEVELS + 1.0).expand(channels, 1, -1)
    for work in dict.fromkeys((torch.float32, dtype)):
        for formula in _all_formulas(m, s, work):
            given = _then(formula, lambda x: x.to(dtype))
            found.setdefault(given(levels).double().numpy().tobytes(), given)
    return list(found.values())


def _all_formulas(mean: Tensor, std: Tensor, work: torch.dtype) -> list[Formula]:
    """The formulas, computed in `work`, or in float64 and rounded to it."""
    m, s = mean.to(work), std.to(work)
    pixels: list[Formula] = []
    for one in dict.fromkeys((work, torch.float32)):
        pixels += [_divided(one, work), _multiplied(one, work)]
    pixels.append(lambda x: (x.double() * (1 / LEVELS)).to(work))
    # As they are, with the reciprocal of std and with -mean / std.
    exact = ((1 / std).to(work), (-mean / std).to(work))
    rounded = (1 / s, -m / s)
    found: list[Formula] = []
    for pixel in pixels:
        found.append(_then(pixel, lambda x: (x - m) / s))
        for by, bias in (exact, rounded):
            found += [_then(pixel, one) for one in _products(m, by, bias)]
    found += [
        lambda x: ((x.double() / LEVELS - mean) / std).to(work),
        lambda x: ((x.double() * (1 / LEVELS) - mean) / std).to(work),
    ]
    whole = (
        (
            (LEVELS * mean).to(work),
            (LEVELS * std).to(work),
            (1 / (LEVELS * std)).to(work),
            exact[1],
        ),
        (LEVELS * m, LEVELS * s, 1 / (LEVELS * s), rounded[1]),
    )
    for shift, size, by, bias in whole:
        of_whole = [_by_division(shift, size), _by_division_first(size, bias)]
        found += [_then(_in(work), one) for one in (*of_whole, *_products(shift, by, bias))]
    return found


def _in(work: torch.dtype) -> Formula:
    return lambda x: x.to(work)


def _divided(first: torch.dtype, then: torch.dtype) -> Formula:
    return lambda x: (x.to(first) / LEVELS).to(then)


def _multiplied(first: torch.dtype, then: torch.dtype) -> Formula:
    tiny = torch.tensor(1 / LEVELS, dtype=first)
    return lambda x: (x.to(first) * tiny).to(then)


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
        lambda x: (x.double() * by + bias).to(by.dtype),
    ]


def of_levels(inputs: Tensor, levels: Tensor, dtype: torch.dtype) -> Tensor:
    """`inputs` (N, C, H, W) with other last bits of `dtype`, the same ones for each level."""
    steps = _steps((*inputs.shape[:2], LEVELS + 1), dtype).to(inputs)
    which = levels.round().long().clamp(0, LEVELS).flatten(2)
    return _moved(inputs, steps.gather(2, which).reshape(inputs.shape))


def of_pixels(inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """`inputs` (N, C, H, W) with other last bits of `dtype`, drawn for each pixel."""
    return _moved(inputs, _steps(inputs.shape, dtype).to(inputs))


def _steps(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """By how much of themselves numbers move."""
    most = _STEPS if torch.finfo(dtype).bits > _BITS_OF_HALVES else 1
    steps = torch.randint(-most, most + 1, tuple(shape), generator=drawn())
    return steps * torch.finfo(dtype).eps


def _moved(inputs: Tensor, by: Tensor) -> Tensor:
    return inputs * (1 + by)


def of_more_bits(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] whose levels are `images`, with pixels between them.

    Black and white stay: cameras end there, and a tree may ask whether a pixel is black.
    """
    return _nearby(images, 1)


def lattices(*, all_of_them: bool) -> dict[str, float]:
    """Lattices of pixels in words, with the steps from one level to the next; by default some."""
    every = _MORE_BITS | _MEANS
    if all_of_them:
        return every
    others = _CHANCE.sample(sorted(every.keys() - {_ALWAYS}), _OTHERS)
    return {name: every[name] for name in (_ALWAYS, *others)}


def on_lattice(images: Tensor, steps: float) -> Tensor:
    """As `of_more_bits`, with pixels of so many steps from one level to the next alone."""
    return ((of_more_bits(images) * (LEVELS * steps)).round() / (LEVELS * steps)).clamp(0, 1)


def beside(images: Tensor, steps: float) -> Tensor:
    """`images` of a lattice, in [0, 1], with each pixel moved by half a step of it at most."""
    return _nearby(images, steps)


def _nearby(images: Tensor, steps: float) -> Tensor:
    """Moved by half a step, of `steps` from one level to the next; black and white stay."""
    by = torch.rand(images.shape, generator=drawn()).to(images) - 0.5
    moved = (images + by / (LEVELS * steps)).clamp(0, 1)
    return torch.where((images <= 0) | (images >= 1), images, moved)


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


def enlarged(images: Tensor, *, all_of_them: bool) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Images (N, C, H, W) in [0, 1], made smaller and enlarged again with 8 bits a value.

    Yields a factor and the images by the way in words. Networks that are asked less often get one
    factor. Small images would become nearly flat.
    """
    size = (images.shape[2], images.shape[3])
    fit = Fit(interpolation="bilinear")
    factors = [factor for factor in _FACTORS if min(size) >= factor * _LEAST_SIDE]
    for factor in factors if all_of_them else _CHANCE.sample(factors, min(1, len(factors))):
        less = (-(-size[0] // factor), -(-size[1] // factor))
        small = [rounded(scaled(image, less, fit)) for image in images]
        by_way = {
            way: torch.stack([scale(image, size, fit) for image in small])
            for way, scale in ways(fit).items()
        }
        yield factor, by_way


def moved(images: Tensor, rows: int) -> Tensor:
    """Other images (rows, C, H, W) of 8 bits: `images` moved by a few pixels, and by others.

    What leaves an image at one edge comes in at the opposite one. Black and white stay, and greys
    become darker or lighter, by another exponent for each image.
    """
    times, most = -(-rows // len(images)), 1
    while (2 * most + 1) ** 2 <= times and 2 * most + 1 < min(images.shape[-2:]):
        most += 1
    steps = range(-most, most + 1)
    moves = [(down, right) for down in steps for right in steps if (down, right) != (0, 0)]
    _CHANCE.shuffle(moves)
    some = (moves[n % len(moves)] for n in range(times))
    found = torch.cat([images.roll(by, (-2, -1)) for by in some])[:rows]
    exponents = (_GAMMA * torch.randn(rows, 1, 1, 1, generator=drawn())).exp()
    return rounded(found.pow(exponents.to(found)))


def rounded(images: Tensor) -> Tensor:
    """Images in [0, 1] as they are with 8 bits a value."""
    return (images * LEVELS).round() / LEVELS
