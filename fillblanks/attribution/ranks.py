"""Rank correlations of maps."""

import torch
from torch import Tensor


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation of the rows of two (n, m) tensors, float64 (n,).

    Ties have their mean rank. It is 0 if a row of either is constant.
    """
    one, other = (centred_ranks(values) for values in (a, b))
    product = (one * other).sum(1)
    size = (one.square().sum(1) * other.square().sum(1)).sqrt()
    return (product / size).where(size > 0, 0).clamp(-1, 1)


def is_flat(maps: Tensor) -> Tensor:
    """Whether each map (..., m) has one value everywhere, bool (...)."""
    return maps.amax(-1) == maps.amin(-1)


def centred_ranks(values: Tensor) -> Tensor:
    """The rank of each value in its row minus the mean rank, float64 (n, m); ties share theirs."""
    ranks = []
    for row in values:
        _, inverse, counts = row.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()
        ranks.append((last - (counts.double() - 1) / 2)[inverse])
    found = torch.stack(ranks)
    return found - found.mean(1, keepdim=True)
