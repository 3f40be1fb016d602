"""Blank difference: how much likelier a class is if a patch can be seen than if it is blank."""

import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.attribution.asking import Keep, Probabilities, all_answers, answers


def blank_difference(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    patch_size: int,
    draws: int = 512,
    mask_ratio: float = 0.25,
    seed: int = 0,
    indices: Tensor | None = None,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """E[p | patch visible] - E[p | patch blank] of each image's label: maps, float64 (n, H, W).

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). The masks are the first `draws`
    of those that `expected_fill` draws with this `mask_ratio`, `patch_size` (pixels), `seed` and
    `indices`, the identities of the images, int64 (n,), by default 0 to n - 1. Draws that a fill
    rejects count as well. A patch that no draw blanks, or none shows, gets 0. For a model whose
    probability is a sum over patches, the value of a patch is its summand minus the mean of the
    other summands. `baseline` is that of `answers`.

    Raises ValueError unless draws >= 1 and as `masks.blank_count` does.
    """
    drawn = _Draws(images, patch_size, draws, mask_ratio, seed, indices)
    given = answers(
        ask, images, labels, views=draws, keep=drawn.keep_from(0), baseline=baseline, chunk=chunk
    )
    values = [drawn.differences(i, given[i, :, None])[0] for i in range(len(images))]
    return drawn.maps(torch.stack(values))


def blank_differences(
    ask: Probabilities,
    images: Tensor,
    *,
    patch_size: int,
    draws: int = 512,
    mask_ratio: float = 0.25,
    seed: int = 0,
    indices: Tensor | None = None,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """As `blank_difference`, for all K classes from the same passes: float64 (n, K, H, W)."""
    drawn = _Draws(images, patch_size, draws, mask_ratio, seed, indices)
    found = []
    for i in range(len(images)):
        one = slice(i, i + 1)
        given = all_answers(
            ask,
            images[one],
            views=draws,
            keep=drawn.keep_from(i),
            baseline=baseline if baseline is None or len(baseline) == 1 else baseline[one],
            chunk=chunk,
        )
        found.append(drawn.maps(drawn.differences(i, given[0])))
    return torch.stack(found)


class _Draws:
    """The masks of some images, made anew each time, since all at once may need much memory."""

    def __init__(
        self,
        images: Tensor,
        patch_size: int,
        draws: int,
        mask_ratio: float,
        seed: int,
        indices: Tensor | None,
    ):
        if draws < 1:
            raise ValueError(f"Expected draws >= 1, got {draws}.")
        self._height, self._width = images.shape[2:]
        rows, columns = masks.grid_shape(self._height, self._width, patch_size)
        self._patches, self._patch_size, self._draws = rows * columns, patch_size, draws
        self._count = masks.blank_count(mask_ratio, self._patches)
        self._seed, self._device = seed, images.device
        given = torch.arange(len(images)) if indices is None else indices
        self._indices = given.to(images.device)

    def _blank(self, rows: Tensor, numbers: Tensor) -> Tensor:
        drawn = masks.keys(self._seed, self._indices[rows], numbers, self._patches)
        return masks.blank_patches(drawn, self._count)

    def maps(self, values: Tensor) -> Tensor:
        """Values of patches (n, P) as maps (n, H, W)."""
        return masks.to_pixels(values, self._height, self._width, self._patch_size)[:, 0]

    def keep_from(self, first: int) -> Keep:
        """Which pixels a draw does not blank, for images by their number from `first` on."""
        return lambda rows, numbers: masks.to_pixels(
            ~self._blank(rows + first, numbers), self._height, self._width, self._patch_size
        )

    def differences(self, image: int, given: Tensor) -> Tensor:
        """Mean of `given`, float64 (draws, K), with each patch seen minus blank: (K, P)."""
        numbers = torch.arange(self._draws, device=self._device)
        blank = self._blank(torch.full_like(numbers, image), numbers).double()
        seen, unseen = (1 - blank).sum(0), blank.sum(0)
        given = given - given[:1]  # so that equal answers differ by 0 and not by rounding
        means = given.T @ (1 - blank) / seen.clamp(min=1) - given.T @ blank / unseen.clamp(min=1)
        return means.where((seen > 0) & (unseen > 0), 0)
