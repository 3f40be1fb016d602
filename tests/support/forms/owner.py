"""The owner of every form: one trained network, the test images, and the network's answers."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZE = 32
_TESTED = 80
INK, PAPER = (1.0, 0.8, 0.1), (0.0, 0.1, 0.4)  # colours that are lost if channels are swapped
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Core(nn.Module):
    """The network: float images (N, 3, 32, 32) in [0, 1] to logits (N, 10) in the order 0 to 9."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1)
        )
        self.head = nn.Linear(16 * 64, classes)

    def forward(self, x: Tensor) -> Tensor:
        # The parabola makes the answers depend on the scale of the pixels.
        return self.head(self.features(x * (1.2 - x)).relu().flatten(1))


@dataclass(frozen=True)
class Owner:
    """The owner's network, and the test images: float (80, 3, 32, 32) in [0, 1]."""

    net: Core
    pixels: Tensor

    def answers(self) -> Tensor:
        """Logits (80, 10) of the test images."""
        with torch.no_grad():
            return self.net(self.pixels)


@cache
def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, test images, uint8 (n, 32, 32, 3), and the labels of both."""
    digits = load_digits()
    ink = (digits.images / 16).repeat(4, axis=1).repeat(4, axis=2)[..., None]
    colour = ink * np.array(INK) + (1 - ink) * np.array(PAPER)
    images = (255 * colour).round().astype(np.uint8)
    return tuple(
        train_test_split(
            images, digits.target, test_size=_TESTED, random_state=0, stratify=digits.target
        )
    )


def owner() -> Owner:
    """An owner whose network has had a short training, the same on every call."""
    train, _, labels, _ = arrays()
    x = torch.from_numpy(train).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(labels)
    torch.manual_seed(0)
    net = Core()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(5):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimiser.step()
    _, test, _, _ = arrays()
    return Owner(net.eval(), torch.from_numpy(test).permute(0, 3, 1, 2).float() / 255)


def paths(folders: tuple[str, ...], kept: Collection[int]) -> list[tuple[int, Path]]:
    """Index and relative path of every test image whose label is kept, in the order of the paths.

    `folders` are the names of the folders, by label.
    """
    _, _, _, labels = arrays()
    found = [
        (i, Path(folders[label]) / f"{i:03}.png") for i, label in enumerate(labels) if label in kept
    ]
    return sorted(found, key=lambda pair: pair[1])
