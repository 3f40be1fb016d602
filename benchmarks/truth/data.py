"""Images of the zoo: those on which choices were made, and those of the fresh networks."""

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from paper.recipes import pictures
from torch import Tensor
from torch.nn import functional

Dataset = Literal["MNIST", "FashionMNIST", "CIFAR10"]
FRESH = 1000
"""Networks of smaller seeds are for tuning; bounds and choices were made on them."""
REAL_SIDE = 224


class Source(NamedTuple):
    """How a data set is normalised, and which of its images belong to tuning and to fresh nets."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    tuning: tuple[int, int]  # training images, from and to
    fresh: tuple[int, int]
    tuning_audit: tuple[int, int]  # test images
    fresh_audit: tuple[int, int]


SOURCES: dict[Dataset, Source] = {
    "MNIST": Source((0.1307,), (0.3081,), (0, 20_000), (20_000, 40_000), (0, 1000), (1000, 4000)),
    "FashionMNIST": Source(
        (0.286,), (0.353,), (0, 20_000), (20_000, 40_000), (0, 1000), (1000, 4000)
    ),
    # The data folder has 10,000 and 1,000 images of it: too few for two parts.
    "CIFAR10": Source(
        (0.491, 0.482, 0.447),
        (0.247, 0.243, 0.262),
        (0, 10_000),
        (0, 10_000),
        (0, 1000),
        (0, 1000),
    ),
}


def channels(dataset: Dataset) -> int:
    return 3 if dataset == "CIFAR10" else 1


def side(dataset: Dataset) -> int:
    return 32 if dataset == "CIFAR10" else 28


@lru_cache(maxsize=6)
def _all(dataset: Dataset, train: bool) -> tuple[Tensor, Tensor]:
    return pictures(dataset, train)


def training(dataset: Dataset, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """`count` training images for a network of this seed, drawn from its part, and their labels."""
    source = SOURCES[dataset]
    return _drawn(dataset, True, source.fresh if seed >= FRESH else source.tuning, seed, count)


def audited(dataset: Dataset, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """`count` test images for the audit of a network of this seed, and their labels."""
    source, fresh = SOURCES[dataset], seed >= FRESH
    part = source.fresh_audit if fresh else source.tuning_audit
    return _drawn(dataset, False, part, seed, count)


def _drawn(
    dataset: Dataset, train: bool, part: tuple[int, int], seed: int, count: int
) -> tuple[Tensor, Tensor]:
    images, labels = _all(dataset, train)
    low, high = part
    rows = low + torch.from_numpy(np.random.default_rng(seed).permutation(high - low)[:count])
    return images[rows], labels[rows]


def enlarged(images: Tensor, wanted: int) -> Tensor:
    """Images (n, C, H, W) of `wanted` pixels; they do not get sharper."""
    if images.shape[2] == wanted:
        return images
    return functional.interpolate(images, (wanted, wanted), mode="bicubic").clamp(0, 1)
