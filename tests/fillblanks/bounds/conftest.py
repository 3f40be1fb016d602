"""Small networks of every operation that can be bounded, and cases of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fillblanks import Classifier
from fillblanks.bounds.attack import Cases
from fillblanks.bounds.prover import Prover

SIDE = 8


class Residual(nn.Module):
    """A shortcut around two convolutions, averages, and a concatenation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 4, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem((x - 0.4) / torch.tensor([0.3, 0.2]).view(2, 1, 1)).relu()
        x = (self.second(self.norm(self.first(x)).relu()) + x).relu()
        both = torch.cat([x.mean((2, 3)), nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)], 1)
        return 3 * self.head(both) - 0.1


class Axes(nn.Module):
    """Axes in another order."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2 * SIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        moved = x.permute(0, 2, 3, 1).transpose(1, 3).mean(2).unsqueeze(1)
        return self.head(moved.flatten(1)).relu() / 2


def _nets() -> dict[str, nn.Module]:
    half = SIDE // 2
    return {
        "plain": nn.Sequential(
            nn.Conv2d(2, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * half * half, 3)
        ),
        "normed": nn.Sequential(
            nn.Conv2d(2, 6, 4, 2, 1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 4, 2),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(4, 8),
            nn.ReLU(),
            nn.Linear(8, 3),
        ),
        "pooled": nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(12, 3),
        ),
        "residual": Residual(),
        "axes": Axes(),
    }


@pytest.fixture(scope="session")
def nets() -> dict[str, Classifier]:
    """Classifiers of images (2, 8, 8) with random weights and random statistics, by name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        found = _nets()
        for net in found.values():
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_()
                    module.running_var.uniform_(0.3, 2)
                    nn.init.normal_(module.weight)
                    nn.init.normal_(module.bias)
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.5)
    return {name: Classifier(net.eval(), mean=(0.4, 0.6), std=0.3) for name, net in found.items()}


@pytest.fixture(scope="session")
def provers(nets) -> dict[str, Prover]:
    """Their provers; a graph takes most of a second to be had."""
    return {name: Prover(net, torch.rand(2, 2, SIDE, SIDE)) for name, net in nets.items()}


@pytest.fixture(scope="session")
def cases() -> Callable[..., Cases]:
    """Makes cases of a classifier: random images, each with a square blank at its own place."""

    def make(classifier: Classifier, count: int = 6, side: int = 3, seed: int = 0) -> Cases:
        generator = torch.Generator().manual_seed(seed)
        images = torch.rand(count, 2, SIDE, SIDE, generator=generator)
        blanks = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
        for row, (top, left) in enumerate(
            torch.randint(0, SIDE - side + 1, (count, 2), generator=generator).tolist()
        ):
            blanks[row, :, top : top + side, left : left + side] = True
        numbers = torch.arange(count)
        return Cases(images, blanks, classifier.predict(images), numbers, numbers)

    return make
