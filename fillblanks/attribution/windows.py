"""Square windows on a grid over an image."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def window_places(height: int, width: int, size: int, stride: int) -> Tensor:
    """The top left pixel, row and column, of each window of a grid, int64 (P, 2).

    Windows are `size` pixels wide and high and `stride` pixels apart. The last row and column of
    windows end at the edge of the image, so that every pixel is in one of them. Raises ValueError
    unless 1 <= size <= the shorter side and stride >= 1.
    """
    if not 1 <= size <= min(height, width):
        raise ValueError(
            f"Expected a window of 1 to {min(height, width)} pixels in an image of "
            f"{height}x{width}, got {size}."
        )
    if stride < 1:
        raise ValueError(f"Expected a stride of at least 1 pixel, got {stride}.")
    rows, columns = (_starts(side, size, stride) for side in (height, width))
    return torch.cartesian_prod(rows, columns)


def _starts(side: int, size: int, stride: int) -> Tensor:
    return torch.tensor(sorted({*range(0, side - size + 1, stride), side - size}))


def window_means(values: Tensor, places: Tensor, size: int) -> Tensor:
    """The mean of `values`, float (n, H, W), in each window at `places` (P, 2): float (n, P)."""
    means = avg_pool2d(values[:, None], size, stride=1)[:, 0]
    return means[:, places[:, 0], places[:, 1]]


def inside(height: int, width: int, places: Tensor, size: int) -> Tensor:
    """Whether each pixel is in the window at each of `places` (n, 2): bool (n, 1, H, W)."""
    rows, columns = torch.arange(height), torch.arange(width)
    top, left = places[:, 0, None], places[:, 1, None]
    in_row = (rows >= top) & (rows < top + size)
    in_column = (columns >= left) & (columns < left + size)
    return (in_row[:, :, None] & in_column[:, None, :])[:, None]
