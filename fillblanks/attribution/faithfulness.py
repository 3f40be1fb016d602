"""Faithfulness: whether the patches that a map marks are those on which the network relies.

Maps are values of patches here, float (n, P), see `patch_means`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.attribution.asking import Probabilities, answers
from fillblanks.attribution.ranks import spearman

STEPS, SUBSETS, SHARE = 10, 100, 0.2
_FIRST_SUBSET = 1 << 40  # the draw of the first subset; those of masks are smaller


def deletion(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    *,
    patch_size: int,
    steps: int = STEPS,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The area under p while patches are hidden, the highest first: float64 (n,) in [0, 1].

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,), `values` float (n, P). In step i
    of `steps` round(i * P / steps) patches of `patch_size` pixels are replaced by `baseline`, that
    of `answers`. Of equal patches the first comes first. The lower, the more p relies on what the
    map marks. Petsiuk et al. 2018 (arXiv 1806.07421).
    """
    return _area(ask, images, labels, values, patch_size, steps, baseline, chunk, show=False)


def insertion(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    *,
    patch_size: int,
    steps: int = STEPS,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The area under p while patches are shown on the baseline, the highest first; see `deletion`.

    float64 (n,) in [0, 1]. The higher, the more what the map marks suffices for p.
    """
    return _area(ask, images, labels, values, patch_size, steps, baseline, chunk, show=True)


def _area(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    patch_size: int,
    steps: int,
    baseline: Tensor | None,
    chunk: int,
    *,
    show: bool,
) -> Tensor:
    (height, width), patches = images.shape[2:], values.shape[1]
    place = values.argsort(dim=1, descending=True, stable=True).argsort(1)
    taken = torch.tensor([round(i * patches / steps) for i in range(steps + 1)])
    taken = taken.to(images.device)

    def keep(rows: Tensor, numbers: Tensor) -> Tensor:
        reached = place[rows] < taken[numbers, None]
        return masks.to_pixels(reached == show, height, width, patch_size)

    given = answers(ask, images, labels, views=steps + 1, keep=keep, baseline=baseline, chunk=chunk)
    return torch.trapezoid(given, dim=1) / steps


class Losses(NamedTuple):
    """How much p falls if a random subset of the patches is hidden, for n images."""

    lost: Tensor  # float64 (n, subsets)
    hidden: Tensor  # bool (n, subsets, P)


def losses(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    patch_size: int,
    subsets: int = SUBSETS,
    share: float = SHARE,
    seed: int = 0,
    indices: Tensor | None = None,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Losses:
    """Hides `subsets` random subsets of a `share` of the patches, for `mu_fidelity`.

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,); the rest is that of `deletion`.
    The subsets depend on `seed` and `indices`, int64 (n,), by default 0 to n - 1. Raises ValueError
    as `masks.blank_count` does.
    """
    height, width = images.shape[2:]
    rows, columns = masks.grid_shape(height, width, patch_size)
    count = masks.blank_count(share, rows * columns)
    given = torch.arange(len(images)) if indices is None else indices
    given = given.to(images.device)
    draws = _FIRST_SUBSET + torch.arange(subsets, device=images.device)
    hidden = torch.stack(
        [
            masks.blank_patches(masks.keys(seed, one.expand(subsets), draws, rows * columns), count)
            for one in given
        ]
    )

    def keep(rows: Tensor, numbers: Tensor) -> Tensor:
        # The view after the last subset is the whole image.
        seen = (numbers == subsets)[:, None] | ~hidden[rows, numbers.clamp(max=subsets - 1)]
        return masks.to_pixels(seen, height, width, patch_size)

    found = answers(
        ask, images, labels, views=subsets + 1, keep=keep, baseline=baseline, chunk=chunk
    )
    return Losses(found[:, -1:] - found[:, :-1], hidden)


def mu_fidelity(found: Losses, values: Tensor) -> Tensor:
    """The rank correlation of what is lost with a subset and its sum in the map, float64 (n,).

    `values` are float (n, P). Bhatt et al. 2020 (arXiv 2005.00631), with Spearman's correlation; 0
    if the map or the network does not vary.
    """
    sums = (found.hidden.double() @ values.double()[:, :, None])[:, :, 0]
    return spearman(found.lost, sums)
