"""Where the places of a cut lie in the image."""

import torch
from torch import Tensor

from fillblanks.concepts.cut import Cut


def windows_of(found: Cut, places: Tensor, height: int, width: int, size: int) -> Tensor:
    """The top left pixels of windows of `size` pixels around places of a cut, int64 (n, 2).

    `places`, int64 (n,), count the places of `found.vectors`, row by row. A window that would leave
    the image of `height` by `width` pixels is moved inside.
    """
    rows, columns = places // found.columns, places % found.columns
    starts = [
        ((at + 0.5) * side / count - size / 2).round().long().clamp(0, side - size)
        for at, side, count in ((rows, height, found.rows), (columns, width, found.columns))
    ]
    return torch.stack(starts, 1)
