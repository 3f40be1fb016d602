"""Whether a map lies in a region of the image, such as the object that a person has outlined."""

import torch
from torch import Tensor


def inside_share(maps: Tensor, regions: Tensor) -> Tensor:
    """The share of the positive part of each map that lies in its region, float64 (n,) in [0, 1].

    `maps` are float (n, H, W), `regions` bool (n, H, W). A map without a positive part has 0. If
    the map is rolled on the torus, the mean over all shifts is the region's share of the image.
    """
    positive = maps.double().clamp(min=0)
    total = positive.sum((1, 2))
    share = (positive * regions).sum((1, 2)) / total
    return share.where(total > 0, 0)


def pointing(maps: Tensor, regions: Tensor) -> Tensor:
    """Whether the highest pixel of each map lies in its region, float64 (n,): 0 or 1.

    Of several highest pixels it is the share that lies there; of a map of one value that is the
    region's share of the image, as it is over all shifts of the map on the torus. Zhang et al. 2016
    (arXiv 1608.00507). `maps` are float (n, H, W), `regions` bool (n, H, W).
    """
    highest = maps == maps.amax((1, 2), keepdim=True)
    return (highest & regions).sum((1, 2)).double() / highest.sum((1, 2))


def region_share(regions: Tensor) -> Tensor:
    """The share of each image that its region covers, float64 (n,): the null of both figures."""
    return regions.flatten(1).to(torch.float64).mean(1)
