"""The networks of the page: trained ones, and ones that have learnt nothing."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from networks import DATA, cifar10, cnn3
from torch import Tensor, nn
from torch.nn import functional

from flows.demo.network import Block, ResNet

_BATCH, _DECAY = 128, 1e-4
# The highest learning rate of the one cycle.
RATES = {"CNN3": 0.002, "ResNet5": 0.004, "ResNet7": 0.009}


@dataclass(frozen=True)
class Recipe:
    """One training. `noise` is the largest standard deviation of the noise on inputs in [0, 1]."""

    dataset: str
    network: str
    noise: float
    seed: int
    images: int
    epochs: int
    shuffled: bool = False  # labels in random order, from which nothing can be learnt

    @property
    def name(self) -> str:
        kind = "shuffled" if self.shuffled else "noise" if self.noise else "plain"
        return f"{self.dataset}-{self.network}-{kind}-{self.seed}".lower()

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.noise:g}-{self.images}-{self.epochs}.pt"


_MAKE: dict[str, Callable[[int], nn.Module]] = {
    "CNN3": lambda channels: cnn3(),
    "ResNet5": lambda channels: ResNet(channels),
    "ResNet7": lambda channels: WiderResNet(channels),
}


class WiderResNet(ResNet):
    """ResNet5 with a third block of 128 channels, for colour."""

    def __init__(self, channels: int):
        super().__init__(channels)
        self.blocks.append(Block(64, 128, 2))
        self.head = nn.Linear(128, 10)


def pictures(dataset: str, train: bool) -> tuple[Tensor, Tensor]:
    """All images (N, C, H, W) in [0, 1] of a data set, and their labels."""
    if dataset == "CIFAR10":
        return cifar10(50_000, train)
    data = getattr(torchvision.datasets, dataset)(str(DATA), train=train)
    return data.data[:, None].float() / 255, data.targets


def network(recipe: Recipe, folder: Path) -> nn.Module:
    """The recipe's network, in evaluation mode; trained once and kept in `folder`."""
    channels = 3 if recipe.dataset == "CIFAR10" else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = _MAKE[recipe.network](channels)
        file = folder / recipe.file_name
        if file.exists():
            net.load_state_dict(torch.load(file, weights_only=True))
        else:
            _train(net, recipe)
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
    return net.eval()


def _train(net: nn.Module, recipe: Recipe) -> None:
    images, labels = pictures(recipe.dataset, train=True)
    images, labels = images[: recipe.images], labels[: recipe.images]
    if recipe.shuffled:
        labels = labels[torch.randperm(len(labels))]
    fit(net, images, labels, recipe.epochs, RATES[recipe.network], recipe.noise)


def fit(
    net: nn.Module, images: Tensor, labels: Tensor, epochs: int, rate: float, noise: float = 0.0
) -> None:
    """Trains on images in [0, 1] with their labels; images of colour are moved and mirrored.

    `rate` is the highest learning rate of the one cycle, `noise` the largest standard deviation of
    the noise on the images.
    """
    net.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=_DECAY)
    steps = epochs * (len(images) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: steps // epochs * _BATCH].split(_BATCH):
            x = images[rows]
            if x.shape[1] == 3:
                x = _moved(x)
            if noise:
                x = x + torch.randn_like(x) * (torch.rand(len(x), 1, 1, 1) * noise)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(x)
            loss = functional.cross_entropy(logits.float(), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.to(memory_format=torch.contiguous_format)


def _moved(images: Tensor) -> Tensor:
    """Half of the batch mirrored, all of it moved by up to 4 pixels."""
    half = torch.rand(len(images)) < 0.5
    images = torch.where(half[:, None, None, None], images.flip(3), images)
    down, right = torch.randint(-4, 5, (2,)).tolist()
    return images.roll((down, right), dims=(2, 3))


class Constant(nn.Module):
    """Answers "3" to every image, with a gradient that does not depend on the class."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        three = functional.one_hot(torch.tensor([3]), 10).to(x.dtype)
        return 10 * three + self.scale * x.flatten(1).mean(1, keepdim=True)


def random_weights(network: str, seed: int) -> nn.Module:
    """A network as it is before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _MAKE[network](1).eval()


def permuted(net: nn.Module, seed: int) -> nn.Module:
    """The same weights, in random order inside each tensor of more than one dimension."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = copy.deepcopy(net)
        for weight in other.parameters():
            if weight.dim() > 1:
                order = torch.randperm(weight.numel())
                weight.data = weight.data.flatten()[order].view_as(weight)
    return other.eval()
