"""Running averages of accepted updates, in float64 and in memory that does not grow with draws."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks

Average = Literal["per_blank", "masked", "raw"]
_SLAB = 1 << 15  # values that a CPU's caches keep while they are multiplied, widened and summed


class Averages:
    """Sums over draws for N images, from which the mean and its standard error follow (Eq. 5).

    `like` is (N, C, H, W); `patches` and `patch_size` (pixels) are those of the patch grid.
    `average`: "per_blank", at each pixel over the draws in which it was blank; "masked", of the
    update at blanks, 0 elsewhere, over all draws; "raw", of the whole update over all draws. Draws
    of even and of odd number are summed apart: two independent halves, whose overlap says how far
    the sum has converged.

    Raises ValueError if `average` is none of them.
    """

    def __init__(self, like: Tensor, patches: int, patch_size: int, average: Average):
        if average not in ("per_blank", "masked", "raw"):
            raise ValueError(
                f'Expected average to be "per_blank", "masked" or "raw", got {average!r}.'
            )
        self.average, self._patch_size = average, patch_size
        count, *sides = like.shape
        self._sum = like.new_zeros(count, 2, *sides, dtype=torch.float64)
        self._squares = like.new_zeros(count, *sides, dtype=torch.float64)
        self._scratch = self._squares[:0]
        # Counts of patches, which are fewer than pixels.
        self._count = like.new_zeros(count, 2, patches, dtype=torch.float64)

    def add(
        self, rows: np.ndarray, odd: np.ndarray, updates: Tensor, patches: Tensor, blank: Tensor
    ) -> None:
        """Adds n accepted draws.

        `rows` (n,) is the image of each draw, 0 to N-1, and `odd` (n,) its half, 0 or 1; draws of
        one image and half stand together. `updates` is (n, C, H, W); `patches`, bool (n, P), and
        `blank`, (n, 1, H, W), 1 or 0, are their blanks.
        """
        part = 2 * rows + odd
        ends = [*(np.flatnonzero(np.diff(part)) + 1).tolist(), len(part)]
        begin = 0
        for end in ends:
            image, half = int(rows[begin]), int(odd[begin])
            for some in self._slabs(begin, end):
                values = updates[some] if self.average == "raw" else updates[some] * blank[some]
                self._add(self._sum[image, half], self._squares[image], values)
            if self.average == "per_blank":
                self._count[image, half] += patches[begin:end].sum(0)
            else:
                self._count[image, half] += end - begin
            begin = end

    def _slabs(self, begin: int, end: int) -> list[slice]:
        """The draws begin to end, as many at a time as are summed fast."""
        on_cpu = self._sum.device.type == "cpu"
        size = max(1, _SLAB // self._squares[0].numel()) if on_cpu else end - begin
        return [slice(at, min(end, at + size)) for at in range(begin, end, size)]

    def _add(self, total: Tensor, squares: Tensor, values: Tensor) -> None:
        # The memory is kept, because to allocate and free that much for each slab is slow.
        if len(self._scratch) < len(values):
            self._scratch = self._squares.new_empty(values.shape)
        wide = self._scratch[: len(values)].copy_(values)
        if len(wide) == 1:
            total += wide[0]
            squares.addcmul_(wide[0], wide[0])
        else:
            # Plain sums over rows: on a GPU, index_add_ leaves their order to chance.
            total += wide.sum(0)
            squares += wide.square_().sum(0)

    def mean(self) -> Tensor:
        """The average, float64 (N, C, H, W); 0 at pixels of which no draw was counted."""
        return self._sum.sum(1) / self._pixels(self._count.sum(1)).clamp(min=1)

    def halves(self) -> tuple[Tensor, Tensor]:
        """The averages over the draws of even and of odd number, float64 (N, C, H, W) each."""
        even, odd = (
            self._sum[:, half] / self._pixels(self._count[:, half]).clamp(min=1) for half in (0, 1)
        )
        return even, odd

    def standard_error(self) -> Tensor:
        """The average's standard error, float64 (N, C, H, W); NaN if fewer than 2 draws count."""
        n, total = self._pixels(self._count.sum(1)), self._sum.sum(1)
        n = torch.where(n > 1, n, torch.nan)
        variance = (self._squares - total * total / n) / (n - 1)
        return (variance.clamp(min=0) / n).sqrt()

    def _pixels(self, counts: Tensor) -> Tensor:
        height, width = self._squares.shape[2:]
        return masks.to_pixels(counts, height, width, self._patch_size)
