"""Running averages of accepted updates, in float64 and in memory that does not grow with draws."""

from typing import Literal

import torch
from torch import Tensor

Average = Literal["per_blank", "masked", "raw"]


class Averages:
    """Sums over draws for N images, from which the mean and its standard error follow (Eq. 5).

    "per_blank": at each pixel over the draws in which it was blank. "masked": of the update at
    blanks, 0 elsewhere, over all draws. "raw": of the whole update over all draws.
    """

    def __init__(self, like: Tensor, average: Average):
        if average not in ("per_blank", "masked", "raw"):
            raise ValueError(
                f'Expected average to be "per_blank", "masked" or "raw", got {average!r}.'
            )
        self.average = average
        self._sum = torch.zeros_like(like, dtype=torch.float64)
        self._squares = torch.zeros_like(self._sum)
        self._count = torch.zeros_like(self._sum[:, :1])

    def add(self, rows: Tensor, updates: Tensor, blank: Tensor) -> None:
        """Adds accepted draws: `rows` int64 (n,) says of which image each is."""
        values = updates if self.average == "raw" else torch.where(blank, updates, 0)
        values = values.double()
        counted = blank if self.average == "per_blank" else torch.ones_like(blank)
        self._sum.index_add_(0, rows, values)
        self._squares.index_add_(0, rows, values * values)
        self._count.index_add_(0, rows, counted.double())

    def mean(self) -> Tensor:
        """The average, float64 (N, C, H, W); 0 where nothing was counted."""
        return self._sum / self._count.clamp(min=1)

    def standard_error(self) -> Tensor:
        """Its standard error, float64 (N, C, H, W); NaN where fewer than two draws were counted."""
        n = torch.where(self._count > 1, self._count, torch.nan)
        variance = (self._squares - self._sum * self._sum / n) / (n - 1)
        return (variance.clamp(min=0) / n).sqrt()
