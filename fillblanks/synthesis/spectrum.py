"""Spectrum: how much of each frequency images have, and in which colours (Olah et al. 2017)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-8  # of a colour that images hardly have


@dataclass(frozen=True)
class Spectrum:
    """The statistics of images (N, C, H, W) in [0, 1] from which fills start.

    `colour` @ `colour`.T is the covariance of the channels, so its inverse decorrelates them.
    `magnitude` is the mean of |rfft2| of decorrelated images, scaled for each of the C decorrelated
    colours so that noise with this magnitude and random phases has mean 0 and standard deviation 1.
    """

    mean: Tensor  # (C,), the mean pixel
    colour: Tensor  # (C, C)
    magnitude: Tensor  # (C, H, W // 2 + 1)
    shape: tuple[int, int, int]  # (C, H, W)

    @classmethod
    def of(cls, images: Tensor) -> "Spectrum":
        """The spectrum of images, float (N, C, H, W) in [0, 1], as float64 on their device.

        The magnitude of frequency 0 is that of its neighbour. Raises ValueError unless the images
        are such a tensor with N >= 1.
        """
        if images.ndim != 4 or 0 in images.shape or not images.is_floating_point():
            raise ValueError(
                "Expected float images of shape (N, C, H, W) with N >= 1 for a spectrum, got "
                f"{images.dtype} {tuple(images.shape)}."
            )
        images = images.detach().double()
        channels, height, width = images.shape[1:]
        mean = images.mean((0, 2, 3))
        centred = images - mean[:, None, None]
        colour = _colour(centred.transpose(0, 1).flatten(1))
        # One image at a time: in float64 they take much memory.
        inverse = torch.linalg.inv(colour)
        total = torch.zeros_like(torch.fft.rfft2(centred[0]), dtype=torch.float64)
        for image in centred:
            total += torch.fft.rfft2((inverse @ image.flatten(1)).view_as(image)).abs()
        magnitude = total / len(images)
        near = (0, 1) if width > 1 else (1 % height, 0)
        magnitude[:, 0, 0] = magnitude[:, near[0], near[1]]
        power = noise_variance(magnitude, height, width)
        magnitude /= power.clamp(min=torch.finfo(power.dtype).tiny).sqrt()[:, None, None]
        return cls(mean, colour, magnitude, (channels, height, width))

    def to(self, device: torch.device, dtype: torch.dtype) -> "Spectrum":
        """This spectrum on another device and in another dtype."""
        moved = (value.to(device, dtype) for value in (self.mean, self.colour, self.magnitude))
        mean, colour, magnitude = moved
        return replace(self, mean=mean, colour=colour, magnitude=magnitude)


def _colour(pixels: Tensor) -> Tensor:
    """A factor of the covariance of centred pixels (C, n): eigenvectors times roots of values."""
    values, vectors = torch.linalg.eigh(pixels @ pixels.T / pixels.shape[1])
    # An eigenvector has two signs: the largest entry is positive, on every machine.
    largest = vectors.abs().argmax(0, keepdim=True)
    vectors = vectors * vectors.gather(0, largest).sign()
    return vectors * values.clamp(min=_LEAST_VARIANCE).sqrt()


def noise_variance(magnitude: Tensor, height: int, width: int) -> Tensor:
    """The variance of a pixel of irfft2(magnitude x random phases), (C,), for magnitudes (C, H, k).

    Every frequency between the first and the last column stands for two of the whole plane. In
    the first column, and in the last one of an even width, random phases are not those of a real
    image, of which irfft2 takes half the power.
    """
    weight = torch.full_like(magnitude[0, 0], 2)
    weight[0] = 0.5
    if width % 2 == 0:
        weight[-1] = 0.5
    return (magnitude.square() * weight).sum((1, 2)) / (height * width) ** 2
