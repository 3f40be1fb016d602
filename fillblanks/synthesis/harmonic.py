"""Smooth interpolation into blanks: push-pull, and the solution of Laplace's equation."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

_TRUSTED = 4  # a coarse pixel with a quarter of its pixels visible is taken as it is
_RESIDUAL = 1e-3  # of that at the start, below which the equation counts as solved
_MOST_STEPS = 200
_COARSEST = 4  # pixels


class PushPull:
    """Interpolates into blanks by a pyramid of means (Gortler et al. 1996, section 3.4.1).

    `keep` is float (N, 1, H, W): 1 for visible pixels, 0 for blanks. The result is linear in the
    values, differentiable, equal to them where they are visible, and constant if they are. Without
    a visible pixel it is 0.
    """

    def __init__(self, keep: Tensor):
        self._keep = keep
        self._weights = [keep]
        while max(self._weights[-1].shape[-2:]) > 1:
            self._weights.append(_halved(self._weights[-1]))

    def __call__(self, values: Tensor) -> Tensor:
        """Interpolates `values`, (N, C, H, W), of which only the visible ones are used."""
        pyramid = [values * self._keep]
        for _ in self._weights[1:]:
            pyramid.append(_halved(pyramid[-1]))
        tiny = torch.finfo(values.dtype).tiny
        found = pyramid[-1] / self._weights[-1].clamp(min=tiny)
        for level, weight in zip(pyramid[-2::-1], self._weights[-2::-1], strict=True):
            height, width = level.shape[-2:]
            found = _doubled(_doubled(found, 2, height), 3, width)
            trust = (weight * _TRUSTED).clamp(max=1)
            found = trust / weight.clamp(min=tiny) * level + (1 - trust) * found
        return found


def harmonic(values: Tensor, keep: Tensor) -> Tensor:
    """`values`, (N, C, H, W), with blanks that solve Laplace's equation.

    A blank pixel is the mean of its neighbours up, down, left and right; at an edge of the image
    those beyond are left out. `keep` is float (N, 1, H, W), 0 for blanks; each image has a visible
    pixel. Solved from a push-pull interpolation by conjugate gradients with a preconditioner of
    several scales (Bramble, Pasciak and Xu 1990), for each image and channel alone, until the
    residual is a thousandth of that at the start.
    """
    blank = 1 - keep
    smooth = keep * values + blank * PushPull(keep)(values)
    residual = blank * _differences(smooth)
    goal = _product(residual, residual) * _RESIDUAL**2
    scaled = blank * _on_all_scales(residual)
    direction, change = scaled, torch.zeros_like(residual)
    power = _product(residual, scaled)
    for _ in range(_MOST_STEPS):
        active = _product(residual, residual) > goal
        if not active.any():
            break
        image = -blank * _differences(direction)
        step = torch.where(active, power / _product(direction, image), 0)
        change = change + step * direction
        residual = residual - step * image
        scaled = blank * _on_all_scales(residual)
        before, power = power, _product(residual, scaled)
        direction = scaled + torch.where(active, power / before, 0) * direction
    return torch.where(keep > 0, values, smooth + change)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((2, 3), keepdim=True)


def _differences(values: Tensor) -> Tensor:
    """At each pixel the sum of its neighbours' differences to it."""
    down, right = values.diff(dim=2), values.diff(dim=3)
    zero = torch.zeros_like
    return (
        torch.cat([down, zero(values[:, :, :1])], 2)
        - torch.cat([zero(values[:, :, :1]), down], 2)
        + torch.cat([right, zero(values[..., :1])], 3)
        - torch.cat([zero(values[..., :1]), right], 3)
    )


def _on_all_scales(values: Tensor) -> Tensor:
    """The sum of `values` spread over 1, 2, 4, ... pixels: a rough inverse of differences."""
    pyramid = [values]
    while max(pyramid[-1].shape[2:]) > _COARSEST:
        pyramid.append(_gathered(_gathered(pyramid[-1], 2), 3))
    found = pyramid[-1]
    for level in pyramid[-2::-1]:
        height, width = level.shape[2:]
        found = level + _doubled(_doubled(found, 2, height), 3, width)
    return found


def _halved(values: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; of fewer at an odd edge."""
    return avg_pool2d(values, 2, ceil_mode=True)


def _doubled(values: Tensor, side: int, length: int) -> Tensor:
    """Linear interpolation along a side to twice its pixels, cut to `length`.

    torch's own has no gradient on a GPU that is the same each time.
    """
    count = values.shape[side]
    first, last = values.narrow(side, 0, 1), values.narrow(side, count - 1, 1)
    before = torch.cat([first, values.narrow(side, 0, count - 1)], side)
    after = torch.cat([values.narrow(side, 1, count - 1), last], side)
    pairs = torch.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], side + 1)
    return pairs.flatten(side, side + 1).narrow(side, 0, length)


def _gathered(values: Tensor, side: int) -> Tensor:
    """The transpose of `_doubled`, from `length` pixels along a side to half of them."""
    values = values.movedim(side, -1)
    if values.shape[-1] % 2:
        values = pad(values, (0, 1))
    even, odd = values[..., ::2], values[..., 1::2]
    result = 0.75 * (even + odd)
    result[..., :-1] += 0.25 * even[..., 1:]
    result[..., 1:] += 0.25 * odd[..., :-1]
    result[..., 0] += 0.25 * even[..., 0]
    result[..., -1] += 0.25 * odd[..., -1]
    return result.movedim(-1, side)
