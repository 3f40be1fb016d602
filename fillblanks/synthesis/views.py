"""Views: images moved, zoomed or cropped, each by its own draw. They are matrices on both sides.

A picture that one pixel or one size decides is no picture of a class: each step sees another view.
Matrices give the same gradient each time on a GPU too, unlike torch's grid_sample.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fillblanks.synthesis.draws import Draws

_CROP_SPREAD = 0.15  # of the centre of a crop, in sides of the image (Fel et al. 2023)


@dataclass(frozen=True)
class Jitter:
    """Rolls an image by up to `roll` pixels, then zooms it by up to `zoom`, a share.

    Both ways are equally likely. Rolled pixels come in at the other side; what comes in by zooming
    out is a mirror image.
    """

    roll: int = 8
    zoom: float = 0.15

    def matrices(self, draws: Draws, step: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """For N images the matrices (N, H, H) and (N, W, W) of `viewed`, float64."""
        drawn = draws.uniform("view", step, 3)
        scale = 1 + (2 * drawn[:, 0] - 1) * self.zoom
        offsets = (drawn[:, 1:] * (2 * self.roll + 1)).floor() - self.roll
        rows, columns = (
            _matrix(scale, torch.full_like(scale, 0.5), side, offset.long())
            for side, offset in zip(shape[2:], offsets.unbind(1), strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Crop:
    """Takes a part of an image, `least` to 1 of its sides, at a normal place around its middle.

    The part becomes as large as the image (Fel et al. 2023, arXiv 2306.06805).
    """

    least: float = 0.4

    def matrices(self, draws: Draws, step: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """For N images the matrices (N, H, H) and (N, W, W) of `viewed`, float64."""
        size = self.least + draws.uniform("size", step, 1)[:, 0] * (1 - self.least)
        centres = 0.5 + _CROP_SPREAD * draws.normal("view", step, 2)
        centres = torch.maximum(torch.minimum(centres, 1 - size[:, None] / 2), size[:, None] / 2)
        none = torch.zeros_like(size, dtype=torch.long)
        rows, columns = (
            _matrix(size, centre, side, none)
            for side, centre in zip(shape[2:], centres.unbind(1), strict=True)
        )
        return rows, columns


View = Jitter | Crop


def viewed(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (N, C, H, W) seen through matrices of their rows (N, H, H) and columns (N, W, W)."""
    count, channels, height, width = images.shape
    wide = images.reshape(count, channels * height, width) @ columns.transpose(1, 2)
    return (rows[:, None] @ wide.view(count, channels, height, width)).contiguous()


def _matrix(scale: Tensor, centre: Tensor, side: int, offset: Tensor) -> Tensor:
    """Linear interpolation along one side at `side` places, (N, side, side).

    The places span `scale` sides around `centre`, (N,) in sides; the image is first rolled by
    `offset` pixels, int64 (N,). Places beyond an edge are reflected there.
    """
    at = (torch.arange(side, device=scale.device, dtype=scale.dtype) + 0.5) / side - 0.5
    places = (centre[:, None] + scale[:, None] * at) * side
    places = places.remainder(2 * side)
    places = torch.where(places > side, 2 * side - places, places) - 0.5
    places = places.clamp(0, side - 1)
    low = places.floor()
    share = places - low
    low = low.long()
    high = (low + 1).clamp(max=side - 1)
    matrix = share.new_zeros(len(scale), side, side)
    for index, weight in ((low, 1 - share), (high, share)):
        source = (index - offset[:, None]).remainder(side)
        matrix.scatter_add_(2, source[..., None], weight[..., None])
    return matrix
