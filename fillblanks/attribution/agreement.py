"""Agreement of maps between versions of a model, as MeGe and ReCo say it, and a null for it.

Fel et al. 2022, "How good is your explanation? Algorithmic stability measures to assess the quality
of explanations for deep neural networks" (arXiv 2009.04521). Maps are values of patches here, float
(n, P).
"""

import torch
from torch import Tensor

from fillblanks.attribution.ranks import centred_ranks


def spearman_with_others(maps: Tensor, others: Tensor) -> Tensor:
    """The mean rank correlation of each map with those of all other images, float64 (n,).

    `maps` and `others` are float (n, P), of the same images: row i of `maps` is compared with every
    row of `others` but i. It is what maps have in common whatever the image, as one that is always
    of the centre. A constant map has 0. Raises ValueError for fewer than two images.
    """
    if len(maps) < 2:
        raise ValueError(f"Expected maps of two images or more, got {len(maps)}.")
    own, other = (_unit_ranks(values) for values in (maps, others))
    rest = other.sum(0) - other
    return ((own * rest).sum(1) / (len(maps) - 1)).clamp(-1, 1)


def _unit_ranks(values: Tensor) -> Tensor:
    """Centred ranks of length 1, so that their product is Spearman's correlation; or 0."""
    ranks = centred_ranks(values)
    length = ranks.norm(dim=1, keepdim=True)
    return ranks / length.where(length > 0, 1)


def distances(correlations: Tensor) -> Tensor:
    """The distance of two maps from their rank correlation: sqrt(1 - |rho|), in [0, 1].

    It is that of the authors' code: maps that are each other's opposite have 0 too.
    """
    return (1 - correlations.abs()).clamp(min=0).sqrt()


def mege(same: Tensor) -> float:
    """MeGe, mean generalisability: 1 / (1 + mean distance), in [.5, 1].

    `same` are `distances` (m,) of maps of an image for which both models are right (S=). It says
    nothing alone: a map that is the same for all images and models has 1. NaN without distances.
    """
    return float(1 / (1 + same.mean()))


def reco(same: Tensor, different: Tensor) -> float:
    """ReCo, relative consistency: max over thresholds of TPR + TNR - 1, in [0, 1].

    Both are `distances`: `same` (m,) of images for which both models are right, `different` (k,) of
    those for which one of them is. A threshold tells the two apart: TPR is the share of `same` that
    is not above it, TNR the share of `different` that is. 1 says that maps agree only if answers
    do, 0 that they tell nothing about it. NaN unless both have distances.
    """
    if not (len(same) and len(different)):
        return float("nan")
    thresholds = torch.cat([same, different])
    share = [
        torch.searchsorted(one.sort().values, thresholds, right=True).double() / len(one)
        for one in (same, different)
    ]
    return max(0.0, float((share[0] - share[1]).max()))
