"""Sobol's total indices: which share of the variance of a probability a patch takes part in."""

import numpy as np
import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.attribution.asking import Probabilities, answers

_SEQUENCE = -10  # the draw whose keys scramble the sequence; masks use 0, 1, ...
MOST_PATCHES = 10_600
"""scipy's sequence has 21,201 dimensions, two of which a patch needs."""


def sobol(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    patch_size: int,
    draws: int = 16,
    seed: int = 0,
    indices: Tensor | None = None,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The total index of each patch of `patch_size` pixels: maps, float64 (n, H, W), 0 or more.

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). A patch is mixed with `baseline`
    (that of `answers`) in a share that is drawn from [0, 1]. The map says how much of the variance
    of p goes if this share is known for all other patches; it has no sign. It takes draws * (P + 1)
    passes an image; `draws` is a power of two. `indices`, int64 (n,), are the identities of the
    images, by default 0 to n - 1, which with `seed` decide the draws. Fel et al. 2021 (arXiv
    2111.04138), with the estimator of Jansen 1999.

    Raises ValueError unless `draws` is a power of two from 2 on; ImportError without scipy.
    """
    height, width = images.shape[2:]
    rows, columns = masks.grid_shape(height, width, patch_size)
    patches = rows * columns
    given = torch.arange(len(images)) if indices is None else indices.cpu()
    seeds = masks.keys(seed, given, torch.full_like(given, _SEQUENCE), 1)[:, 0]
    drawn = torch.stack([designs(draws, patches, int(one) & (1 << 63) - 1) for one in seeds])
    drawn = drawn.to(images)

    def keep(rows: Tensor, numbers: Tensor) -> Tensor:
        draw, changed = numbers % draws, numbers // draws - 1
        shares, others = drawn[rows, 0, draw], drawn[rows, 1, draw]
        at = torch.arange(patches, device=rows.device) == changed[:, None]
        return masks.to_pixels(others.where(at, shares), height, width, patch_size)

    found = answers(
        ask,
        images,
        labels,
        views=draws * (patches + 1),
        keep=keep,
        baseline=baseline,
        chunk=chunk,
    ).view(len(images), patches + 1, draws)
    values = total_indices(found[:, 0], found[:, 1:])
    return masks.to_pixels(values, height, width, patch_size)[:, 0]


def designs(draws: int, dimensions: int, seed: int) -> Tensor:
    """Two designs from one scrambled Sobol sequence, float64 (2, draws, dimensions) in [0, 1).

    Raises ValueError unless `draws` is a power of two from 2 on; ImportError without scipy.
    """
    if draws < 2 or draws & (draws - 1):
        raise ValueError(f"Expected a power of two as draws, at least 2, got {draws}.")
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise ImportError("Expected scipy for Sobol sequences. pip install scipy.") from error
    generator = np.random.default_rng(seed)
    # `seed` is the name that all supported versions of scipy know.
    points = qmc.Sobol(2 * dimensions, scramble=True, seed=generator).random(draws)
    return torch.from_numpy(points).view(draws, 2, dimensions).movedim(1, 0)


def total_indices(given: Tensor, changed: Tensor) -> Tensor:
    """Jansen's estimate of the total indices, float64 (n, P); 0 if the answers do not vary.

    `given` are the answers to the first design, float64 (n, draws), `changed` those to the same
    with one column taken from the second, (n, P, draws). Jansen 1999 (Computer Physics
    Communications 117:35).
    """
    variance = given.var(1, keepdim=True)
    share = (given[:, None] - changed).square().mean(2) / (2 * variance)
    return share.where(variance > 0, 0)
