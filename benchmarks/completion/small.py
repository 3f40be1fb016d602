"""Small networks for 28 and 32 pixels: trained in several ways, and without knowledge."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torchvision
from networks import DATA
from paper.recipes import RATES, WiderResNet, fit, pictures
from torch import Tensor, nn

from completion.imagenet import CONSTANT, PERMUTED, RANDOM, Constant, Permuted
from completion.kept import Kept, network
from completion.protocol import (
    LABEL_NOISE,
    NOISE,
    REFERENCE_NOISE,
    REFERENCE_SEED,
    SEED,
    SEEN,
    Size,
)
from fillblanks import Classifier
from flows.demo.network import ResNet

_CLASSES = 10
_REFERENCE_RATE = 0.004


class Reference(nn.Sequential):
    """Convolutions of another build than those of the models, which are residual networks."""

    def __init__(self, channels: int, side: int):
        def convolution(given: int, made: int) -> list[nn.Module]:
            made_by = nn.Conv2d(given, made, 3, padding=1, bias=False)
            return [made_by, nn.BatchNorm2d(made), nn.ReLU()]

        last = side // 4
        super().__init__(
            *convolution(channels, 32),
            *convolution(32, 32),
            nn.MaxPool2d(2),
            *convolution(32, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * last * last, _CLASSES),
        )


class Training:
    """Trains the networks of a data set, or takes those that were kept."""

    def __init__(self, kept: Kept, dataset: str, size: Size):
        self._kept, self.dataset, self._size = kept, dataset, size
        self.images, self.labels = pictures(dataset, train=True)
        self.test = pictures(dataset, train=False)
        self.channels, self.side = self.images.shape[1], self.images.shape[-1]

    @property
    def shared(self) -> bool:
        """Whether model and reference are trained on the same images, since there are few."""
        return len(self.images) < 2 * self._size.training_images

    def reference(self) -> Classifier:
        """An independent network: another build and seed and, unless `shared`, other images."""
        count = self._size.training_images
        rows = slice(0, count) if self.shared else slice(count, 2 * count)
        net = self._trained(
            "reference",
            lambda: Reference(self.channels, self.side),
            rows,
            noise=REFERENCE_NOISE,
            rate=_REFERENCE_RATE,
            seed=REFERENCE_SEED,
        )
        return _classifier(net)

    def variants(self) -> dict[str, Classifier]:
        """The networks that are compared, by what was done to them."""
        rows = slice(0, self._size.training_images)
        trained = partial(self._trained, make=self._make, rows=rows, rate=self._rate)
        plain = trained("plain")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            random = self._make()
        nets = {
            "plain": plain,
            "noise-trained": trained("noise-trained", noise=NOISE[self.dataset]),
            f"{LABEL_NOISE:.0%} label noise": trained("label noise", label_noise=LABEL_NOISE),
            "under-trained": trained(
                "under-trained", rows=slice(0, self._size.under_trained), epochs=1
            ),
            RANDOM: random,
            CONSTANT: Constant(_CLASSES),
            PERMUTED: Permuted(plain, _CLASSES),
        }
        return {name: _classifier(net) for name, net in nets.items()}

    def accuracy(self, net: Classifier) -> float:
        """The share of test images that a network names right."""
        images, labels = (values[: self._size.test_images] for values in self.test)
        return (net.predict(images) == labels).float().mean().item()

    def filled(self) -> tuple[Tensor, Tensor]:
        """Positions and labels of the test images that are filled, as many of each class."""
        _, labels = self.test
        of_class = [(labels == one).nonzero()[:, 0] for one in range(_CLASSES)]
        rows = torch.cat([found[SEEN : SEEN + self._size.of_class] for found in of_class])
        return rows, labels[rows]

    def _make(self) -> nn.Module:
        wide = self.dataset == "CIFAR10"
        return (WiderResNet if wide else ResNet)(self.channels)

    @property
    def _rate(self) -> float:
        return RATES["ResNet7" if self.dataset == "CIFAR10" else "ResNet5"]

    def _trained(
        self,
        name: str,
        make: Callable[[], nn.Module],
        rows: slice,
        *,
        rate: float,
        noise: float = 0.0,
        label_noise: float = 0.0,
        epochs: int | None = None,
        seed: int = SEED,
    ) -> nn.Module:
        epochs = self._size.epochs[self.dataset] if epochs is None else epochs
        images, labels = self.images[rows], self.labels[rows]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = make()
            other = torch.rand(len(labels)) < label_noise
            labels = torch.where(other, torch.randint(_CLASSES, labels.shape), labels)
            train = partial(fit, net, images, labels, epochs, rate, noise)
            key = (self.dataset, rows, rate, noise, label_noise, epochs, seed)
            network(self._kept, f"{self.dataset} {name}", key, net, train)
        return net


def _classifier(net: nn.Module) -> Classifier:
    return Classifier(net.eval().requires_grad_(False), constant=True)


def classes(dataset: str) -> tuple[str, ...]:
    """The names of a data set's classes, in the order of its labels."""
    if dataset == "CIFAR10":
        with np.load(DATA / "CIFAR10" / "cifar10_test.npz", allow_pickle=False) as data:
            return tuple(map(str, data["classes"]))
    if dataset == "MNIST":
        return tuple(map(str, range(_CLASSES)))
    return tuple(getattr(torchvision.datasets, dataset).classes)
