"""Images from coefficients of frequencies, in decorrelated colours (Olah et al. 2017)."""

import math
from typing import Literal

import torch
from torch import Tensor

from fillblanks.synthesis.spectrum import Spectrum

Prior = Literal["spectrum", "maco"]

_STRENGTH = 4  # how far colours of standard deviation 1 go, in logits
_EDGE = 0.02  # of a pixel's value from black and white, where the logit would be infinite


class Parametrisation:
    """Turns parameters of a prior into images (N, C, H, W) in (0, 1) around a base image.

    The image is sigmoid(logit(base) + 4 C z) with the colour factor C. With the prior "spectrum"
    z = irfft2(p x magnitude), and both amplitude and phase of the complex p are free; p is real
    (N, C, H, W // 2 + 1, 2). With "maco" (Fel et al. 2023, arXiv 2306.06805) only the phases p,
    (N, C, H, W // 2 + 1), are free: the magnitude of z stays that of the spectrum.
    """

    def __init__(self, spectrum: Spectrum, prior: Prior, base: Tensor):
        self.spectrum, self.prior = spectrum, prior
        self._base = base.clamp(_EDGE, 1 - _EDGE).logit()
        self._magnitude = spectrum.magnitude

    def start(self, uniform: Tensor, amplitude: float) -> Tensor:
        """Parameters with random phases, from numbers in (0, 1), (N, values of a magnitude).

        |p| is `amplitude` with the prior "spectrum"; "maco" has none.
        """
        phase = uniform.view(-1, *self._magnitude.shape) * (2 * math.pi)
        if self.prior == "maco":
            return phase
        size = torch.full_like(phase[0], amplitude)
        return torch.stack([torch.view_as_real(torch.polar(size, one)) for one in phase])

    def decorrelated(self, parameters: Tensor) -> Tensor:
        """z, (N, C, H, W): the picture in decorrelated colours."""
        _, height, width = self.spectrum.shape
        if self.prior == "maco":
            phase = _of_real_images(parameters, width)
            coefficients = torch.stack([torch.polar(self._magnitude, one) for one in phase])
        else:
            coefficients = torch.view_as_complex(parameters) * self._magnitude
        return torch.fft.irfft2(coefficients, s=(height, width))

    def __call__(self, parameters: Tensor) -> Tensor:
        """The images, (N, C, H, W)."""
        values = self.decorrelated(parameters)
        # One product an image: one for all of them has other last bits in another batch.
        factor = (_STRENGTH * self.spectrum.colour).expand(len(values), -1, -1)
        coloured = torch.bmm(factor, values.flatten(2))
        # For the same reason an image at a time: the last values of a tensor round otherwise.
        return torch.stack([one.sigmoid() for one in self._base + coloured.view_as(values)])


def _of_real_images(phase: Tensor, width: int) -> Tensor:
    """Phases that a real image of this width has, (N, C, H, k).

    The first column, and the last of an even width, hold frequencies beside their opposites, which
    have opposite phases in a real image.
    """
    columns = [_odd(phase[..., :1]), phase[..., 1:]]
    if width % 2 == 0:
        columns[1:] = [phase[..., 1:-1], _odd(phase[..., -1:])]
    return torch.cat(columns, dim=-1)


def _odd(phase: Tensor) -> Tensor:
    """Phase minus that of the opposite frequency, for columns (N, C, H, 1)."""
    return phase - phase.flip(2).roll(1, 2)
