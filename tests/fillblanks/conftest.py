"""Fixtures for the tests of fillblanks: small networks, images, and masks in plain Python."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from threads import one_thread  # noqa: F401
from torch import Tensor, nn

_64_BITS = (1 << 64) - 1


class Plain:
    """Masks in plain Python: unsigned 64-bit splitmix64, sorting, one pixel at a time."""

    @staticmethod
    def splitmix64(state: int) -> Iterator[int]:
        state &= _64_BITS
        while True:
            state = (state + 0x9E3779B97F4A7C15) & _64_BITS
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _64_BITS
            yield z ^ (z >> 31)

    def keys(self, seed: int, image: int, draw: int, count: int) -> list[int]:
        start = next(self.splitmix64(seed))
        start = next(self.splitmix64(start ^ (image & _64_BITS)))
        start = next(self.splitmix64(start ^ (draw & _64_BITS)))
        return [self.signed(key) for key in islice(self.splitmix64(start), count)]

    @staticmethod
    def signed(unsigned: int) -> int:
        return unsigned - (1 << 64) if unsigned >> 63 else unsigned

    def _ranks(
        self, seed: int, image: int, draw: int, shape: tuple[int, int], patch: int
    ) -> np.ndarray:
        height, width = shape
        columns = (width + patch - 1) // patch
        count = columns * ((height + patch - 1) // patch)
        keys = self.keys(seed, image, draw, count)
        rank = {p: i for i, p in enumerate(sorted(range(count), key=keys.__getitem__))}
        return np.array(
            [[rank[r // patch * columns + c // patch] for c in range(width)] for r in range(height)]
        )

    def blank(
        self, seed: int, image: int, draw: int, shape: tuple[int, int], patch: int, count: int
    ) -> Tensor:
        """True on the pixels of the `count` patches with the smallest keys, bool (H, W)."""
        return torch.from_numpy(self._ranks(seed, image, draw, shape, patch) < count)

    def regions(
        self, seed: int, image: int, shape: tuple[int, int], patch: int, groups: int
    ) -> Tensor:
        """The progressive step that fills each pixel, int64 (H, W)."""
        ranks = self._ranks(seed, image, 0, shape, patch)
        return torch.from_numpy(ranks * groups // (ranks.max() + 1))


class Sine(nn.Module):
    """The sine, so steep that a fill can change a prediction and a mask can be rejected."""

    def forward(self, values: Tensor) -> Tensor:
        return values.sin()


class NanOnBright(nn.Module):
    """Three pixels as logits; NaN for an image with a pixel above 0.9."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.flatten(1).amax(1, keepdim=True) > 0.9
        return torch.where(bright, torch.nan, images.flatten(1)[:, :3])


@pytest.fixture(scope="session")
def plain() -> Plain:
    return Plain()


@pytest.fixture
def nan_on_bright() -> NanOnBright:
    return NanOnBright()


@pytest.fixture
def third_bright() -> Tensor:
    """Three images; the third is bright and is not among the images that are probed."""
    images = torch.full((3, 1, 4, 4), 0.5)
    images[2] = 1.0
    return images


@pytest.fixture(scope="session")
def network() -> Callable[..., nn.Sequential]:
    """Makes a random network of 4 classes in training mode, which changes its answers."""

    def make(
        channels: int = 1, height: int = 29, width: int = 31, dtype: torch.dtype = torch.float64
    ) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(channels)
            return nn.Sequential(
                nn.Conv2d(channels, 4, 3, stride=2),
                nn.BatchNorm2d(4),
                Sine(),
                nn.Flatten(),
                nn.Dropout(0.5),
                nn.Linear(4 * ((height - 1) // 2) * ((width - 1) // 2), 4),
            ).to(dtype)

    return make


@pytest.fixture(scope="session")
def pictures() -> Callable[..., Tensor]:
    """Makes random images in [0, 1]."""

    def make(
        count: int = 3,
        channels: int = 1,
        height: int = 29,
        width: int = 31,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        return torch.rand(count, channels, height, width, generator=generator, dtype=dtype)

    return make
