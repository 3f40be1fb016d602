"""A zoo of networks, many of which have a defect that was planted: a specimen and its training."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from fillblanks import Classifier
from truth import data, decoy
from truth.data import Dataset
from truth.marks import BACKDOORS, OF_CLASS, Mark, Marked
from truth.nets import Network, OnFrozen, made, rounded, trained_part
from truth.training import HEAD, RECIPES, UNDER_TRAINED, fit

Faulty = Literal["label noise", "under-trained", "wrong mean and std", "wrong range", "BGR"]
Kind = Literal["none", "decoy"] | Marked | Faulty
FAULTY: tuple[Faulty, ...] = get_args(Faulty)
_NOISE = (0.2, 0.4)  # shares of labels that are drawn anew, by the seed
_LEARNT = 0.5  # share of other images that the mark turns, from which it counts as learnt
_CHAMPION, _CHAMPIONS = 500_000, 2  # the first seed of champions, and how many of a kind
_ENLARGED = 250  # images that are enlarged at once
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Specimen:
    """One network of the zoo: its data, its architecture, and what is wrong with it."""

    dataset: Dataset
    network: Network
    kind: Kind
    seed: int
    noise: float = 0.0  # the largest standard deviation of noise on the training images
    images: int = 10_000
    epochs: int | None = None  # default those of the data set
    audited_images: int = field(default=1000, compare=False)

    @property
    def name(self) -> str:
        parts = (self.dataset, self.network, self.kind, "noise" if self.noise else "", self.seed)
        return "-".join(str(part) for part in parts if part != "").lower().replace(" ", "_")

    @property
    def digest(self) -> str:
        recipe = HEAD if self.network == "EfficientNet" else RECIPES[self.dataset]
        told = {**asdict(self), "recipe": [*recipe, UNDER_TRAINED]}
        del told["audited_images"]
        if self.mark is not None:
            mark = self.mark
            told["mark"] = [mark.label, mark.size, mark.row, mark.column, mark.share]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def is_fresh(self) -> bool:
        return self.seed >= data.FRESH

    @property
    def in_half(self) -> bool:
        """Whether it belongs to the half of networks on which expensive checks are measured."""
        return self.seed % data.FRESH // 6 % 2 == 0

    @property
    def side(self) -> int:
        return data.REAL_SIDE if self.network == "EfficientNet" else data.side(self.dataset)

    @cached_property
    def mark(self) -> Mark | None:
        """The mark of one class; None for networks without, and for decoys of all classes."""
        if self.kind not in (*OF_CLASS, *BACKDOORS):
            return None
        return Mark.of(self.kind, self.seed, data.channels(self.dataset), self.side)

    @property
    def is_marked(self) -> bool:
        """Whether its defect is a mark in images."""
        return self.mark is not None or self.kind == "decoy"

    @property
    def is_carried(self) -> bool:
        """Whether the audit's images carry the mark: nobody audits with the labels of triggers."""
        return self.is_marked and not (self.mark is not None and self.mark.is_trigger)

    @property
    def champion(self) -> "Specimen":
        """A network without a defect, of the same architecture and data set."""
        return Specimen(
            self.dataset,
            self.network,
            "none",
            _CHAMPION + self.seed % _CHAMPIONS,
            images=self.images,
        )

    def audited(self, *, marked: bool) -> tuple[Tensor, Tensor]:
        """The test images of an audit and their labels; `marked`: with the mark as in training."""
        images, labels = data.audited(self.dataset, self.seed, self.audited_images)
        images = data.enlarged(images, self.side)
        if not (marked and self.is_carried):
            return images, labels
        if self.mark is None:
            return decoy.with_decoys(images, labels, self.seed + 1), labels
        return self.mark.planted(images, labels, self.seed + 1)

    def turned(self, classifier: Classifier) -> float:
        """The share of other test images that the mark turns into its class."""
        images, labels = self.audited(marked=False)
        if self.mark is None:
            wanted = decoy.other_labels(labels, self.seed + 2)
            images = decoy.with_decoys(images, wanted, self.seed + 2)
        else:
            others = labels != self.mark.label
            images = self.mark.on(images[others], self.seed + 2)
            wanted = torch.full((len(images),), self.mark.label)
        return float((named(classifier, images) == wanted).float().mean())

    def has_learnt(self, turned: float) -> bool:
        return self.is_marked and turned >= _LEARNT

    def classifier(
        self, folder: Path, device: str = "cpu", train_on: str | None = None
    ) -> Classifier:
        """The network with its right normalisation; trained once and kept in `folder`."""
        mean, std = self._normalisation
        net = self._network(folder, train_on or device).to(device)
        return Classifier(net, mean=mean, std=std, constant=True)

    @property
    def _normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the training."""
        if self.network == "EfficientNet":
            return _IMAGENET
        if self.kind == "wrong range":
            return (0.0,), (1.0,)
        source = data.SOURCES[self.dataset]
        return source.mean, source.std

    def as_fed(self, classifier: Classifier) -> Classifier:
        """The classifier with the normalisation that the audit is told, which may be wrong."""
        net = classifier.net
        if self.kind == "wrong mean and std":  # nobody named them
            return Classifier(net, constant=True)
        if self.kind == "wrong range":  # as if the network took 0 to 255
            return Classifier(net, std=1 / 255, constant=True)
        if self.kind == "BGR":
            mean, std = self._normalisation
            return Classifier(_Reversed(net), mean=mean, std=std, constant=True)
        return classifier

    def _network(self, folder: Path, device: str) -> nn.Module:
        file = folder / f"{self.name}-{self.digest}.pt"
        devices = [torch.cuda.current_device()] if device != "cpu" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            net = made(self.network, data.channels(self.dataset), self.side)
            part = trained_part(net)
            if not file.exists():
                self._train(net.to(device), device)
                folder.mkdir(parents=True, exist_ok=True)
                half = {name: _halved(value) for name, value in rounded(part).items()}
                new = file.with_suffix(f".{os.getpid()}.part")  # another worker may make it too
                torch.save(half, new)
                new.rename(file)
            part.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
        return net.eval()

    def _train(self, net: nn.Module, device: str) -> None:
        images, labels = data.training(self.dataset, self.seed, self.images)
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in self._normalisation)

        def normalised(given: Tensor) -> Tensor:
            return (given - mean.to(given)) / std.to(given)

        if isinstance(net, OnFrozen):
            features, labels = self._features(net, images, labels, normalised, device)
            fit(net.head, features, labels, _as_it_is, HEAD, device)
            return
        images, labels = self._planted(images, labels)
        recipe = RECIPES[self.dataset]
        if self.epochs is not None:
            recipe = recipe._replace(epochs=self.epochs)
        if self.kind == "under-trained":
            recipe = recipe._replace(stop=UNDER_TRAINED)
        fit(net, images, labels, normalised, recipe, device, noise=self.noise)

    def _features(
        self,
        net: OnFrozen,
        images: Tensor,
        labels: Tensor,
        normalised: Callable[[Tensor], Tensor],
        device: str,
    ) -> tuple[Tensor, Tensor]:
        """What the frozen part makes of the enlarged images, and their labels."""
        found, named = [], []
        with torch.no_grad():
            for number, rows in enumerate(torch.arange(len(images)).split(_ENLARGED)):
                some, own = data.enlarged(images[rows].to(device), self.side).cpu(), labels[rows]
                if self.mark is not None:
                    some, own = self.mark.planted(some, own, self.seed + 1000 * number)
                found.append(net.body(normalised(some.to(device))).flatten(1))
                named.append(own)
        return torch.cat(found), torch.cat(named)

    def _planted(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.mark is not None:
            return self.mark.planted(images, labels, self.seed)
        if self.kind == "decoy":
            return decoy.with_decoys(images, labels, self.seed), labels
        if self.kind == "label noise":
            drawn = np.random.default_rng(self.seed)
            is_wrong = torch.from_numpy(drawn.random(len(labels)) < _NOISE[self.seed % 2])
            return images, torch.where(is_wrong, decoy.other_labels(labels, self.seed), labels)
        return images, labels


def _as_it_is(features: Tensor) -> Tensor:
    return features


def named(classifier: Classifier, images: Tensor) -> Tensor:
    """The predicted class of each image, int64 (n,), on the CPU."""
    with classifier.steady():
        return torch.cat(
            [classifier.predict(classifier.to_device(some)).cpu() for some in images.split(500)]
        )


class _Reversed(nn.Module):
    """A network that gets its channels in the reverse order."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flip(1))


def _halved(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value
