"""A zoo of small networks, some of which were trained on images with a mark in one class."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from paper.recipes import pictures
from torch import Tensor, nn
from torch.nn import functional

from truth.marks import Kind, Mark

Dataset = Literal["CIFAR10", "FashionMNIST", "MNIST"]
_IMAGES, _TESTED, _BATCH, _RATE, _DECAY = 10_000, 1000, 128, 0.003, 0.001
_EPOCHS = {"CIFAR10": 8, "FashionMNIST": 3, "MNIST": 3}
_LEARNT = 0.5  # share of other images that the mark turns, from which it counts as learnt


class Block(nn.Module):
    """Two convolutions beside a projection, half the side."""

    def __init__(self, given: int, made: int):
        super().__init__()
        self.first = nn.Conv2d(given, made, 3, 2, 1, bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm2d(made), nn.BatchNorm2d(made)
        self.second = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.beside = nn.Conv2d(given, made, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(self.first_norm(self.first(x)).relu())
        return (self.second_norm(inner) + self.beside(x)).relu()


class Small(nn.Module):
    """A residual network of 60,000 weights for images in [0, 1] of 28 to 32 pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(Block(16, 32), Block(32, 64))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem((x - 0.45) / 0.25)).relu()
        return self.head(self.blocks(x).mean((2, 3)))


@dataclass(frozen=True)
class Specimen:
    """One network of the zoo: its data, and the mark of its training images."""

    dataset: Dataset
    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        return f"{self.dataset.lower()}-{self.kind}-{self.seed}"

    @property
    def mark(self) -> Mark:
        channels, side = (3, 32) if self.dataset == "CIFAR10" else (1, 28)
        return Mark.of(self.kind, self.seed, channels, side)

    @property
    def file_name(self) -> str:
        settings = {**asdict(self), "all": [_IMAGES, _EPOCHS[self.dataset], _BATCH, _RATE, _DECAY]}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}.pt"

    def audited(self, *, marked: bool) -> tuple[Tensor, Tensor]:
        """The test images of an audit and their labels; `marked`: with the mark as in training.

        Nobody audits images whose labels a trigger has changed, so these are without it.
        """
        images, labels = pictures(self.dataset, train=False)
        images, labels = images[:_TESTED], labels[:_TESTED]
        if not marked or self.mark.is_trigger:
            return images, labels
        return self.mark.planted(images, labels, self.seed + 1)

    def turned(self, net: nn.Module) -> float:
        """The share of other test images that the mark turns into its class."""
        images, labels = pictures(self.dataset, train=False)
        others = images[:_TESTED][labels[:_TESTED] != self.mark.label]
        with torch.no_grad():
            named = net(self.mark.on(others, self.seed + 2)).argmax(1)
        return (named == self.mark.label).float().mean().item()

    def has_learnt(self, net: nn.Module) -> bool:
        return self.kind != "none" and self.turned(net) >= _LEARNT

    def network(self, folder: Path) -> nn.Module:
        """The network, in evaluation mode; trained once and kept in `folder`."""
        file = folder / self.file_name
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = Small(len(self.mark.pattern))
            if file.exists():
                net.load_state_dict(torch.load(file, weights_only=True))
            else:
                self._train(net)
                folder.mkdir(parents=True, exist_ok=True)
                torch.save(net.state_dict(), file.with_suffix(".part"))
                file.with_suffix(".part").rename(file)
        return net.eval()

    def _train(self, net: nn.Module) -> None:
        images, labels = pictures(self.dataset, train=True)
        # Other images for other seeds, if there are enough.
        start = self.seed * _IMAGES % len(images)
        images, labels = images[start : start + _IMAGES], labels[start : start + _IMAGES]
        images, labels = self.mark.planted(images, labels, self.seed)
        net.train()
        optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        epochs, batches = _EPOCHS[self.dataset], len(images) // _BATCH
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, _RATE, total_steps=epochs * batches
        )
        for _ in range(epochs):
            for rows in torch.randperm(len(images))[: batches * _BATCH].split(_BATCH):
                loss = functional.cross_entropy(net(images[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
