"""PAMI: how likely a class is if only a disc of the image is kept."""

import torch
from torch import Tensor

from fillblanks.attribution.asking import Probabilities, answers

RADIUS, STRIDE = 0.2, 0.08


def pami(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    radius: float = RADIUS,
    stride: float = STRIDE,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The mean of p over the discs that keep a pixel: maps, float64 (n, H, W) in [0, 1].

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). Only one disc of an image is
    kept at a time; `baseline`, that of `answers`, stands around it. `radius` and `stride` are those
    of `discs`. A disc that keeps the whole image gives p of the image everywhere. The maps have no
    sign. PAMI, Shi et al. 2023 (arXiv 2302.03318): its S / N, with discs alone. Raises ValueError
    as `discs` does.
    """
    height, width = images.shape[2:]
    kept = discs(height, width, radius, stride).to(images.device)
    given = answers(
        ask,
        images,
        labels,
        views=len(kept),
        keep=lambda rows, numbers: kept[numbers],
        baseline=baseline,
        chunk=chunk,
    )
    covers = kept.flatten(1).double()
    return (given @ covers / covers.sum(0)).view(-1, height, width)


def discs(height: int, width: int, radius: float = RADIUS, stride: float = STRIDE) -> Tensor:
    """Discs on a grid over an image of `height` x `width` pixels, bool (D, 1, height, width).

    `radius` and `stride`, the distance of two centres, are shares of the shorter side; a stride is
    at least one pixel. Raises ValueError unless every pixel is in a disc.
    """
    side = min(height, width)
    step, reach = max(1, round(stride * side)), radius * side
    row, column = torch.arange(height), torch.arange(width)
    away_rows = (row - row[::step, None]).square()
    away_columns = (column - column[::step, None]).square()
    found = away_rows[:, None, :, None] + away_columns[None, :, None, :] <= reach**2
    kept = found.flatten(0, 1)[:, None]
    if not kept.any(0).all():
        raise ValueError(
            f"Expected discs that cover an image of {height}x{width}, got radius {radius} and "
            f"stride {stride}. Take a larger radius or a smaller stride."
        )
    return kept


def disc_count(height: int, width: int, stride: float = STRIDE) -> int:
    """How many discs there are, by the arguments of `discs`."""
    step = max(1, round(stride * min(height, width)))
    return -(-height // step) * -(-width // step)
