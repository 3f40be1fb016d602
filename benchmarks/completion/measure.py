"""All rows of the page: which network fills which images, and which network reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from completion import heads, imagenet, small
from completion.asked import Given, asked, reading
from completion.imagenet import CONSTANT, LITE_0, LITE_1, PERMUTED, RANDOM, SQUEEZENET_1_1
from completion.kept import Arrays, Kept, Missing, digest
from completion.photographs import Photograph, names_the_class, photographs
from completion.protocol import LABEL_NOISE, SEED, SIDE, SMALL, Size
from completion.small import Training
from fillblanks import Classifier, Recipe, Spectrum

IMAGENET, HEADS = "photographs, 1,000 classes", "photographs, 5 groups"
_GROUPS = {
    "fishes": "fishes",
    "monuments": "monuments",
    "others": "household goods",
    "renewable": "renewable energy",
    "tools": "tools",
}


@dataclass(frozen=True)
class Row:
    """The fills of one network, as another network reads them."""

    data: str
    model: str
    reference: str
    way: str  # of filling: many steps, or one
    informed: bool  # whether the model knows anything of its classes
    accuracy: float  # of the model on images of its own data; NaN if it is not measured
    table: pd.DataFrame  # a row for each image


@dataclass(frozen=True)
class Agreed:
    """The photographs that all three networks of ImageNet name alike, and the others."""

    photographs: list[Photograph]
    labels: Tensor  # int64, their class
    others: list[Photograph]
    digest: str  # sha256 of the squares of all of them


class Bench:
    """Measures the rows; `missing` names those that were not finished, if none shall be made."""

    def __init__(self, kept: Kept, size: Size, place: Path):
        self.kept, self.size, self._place = kept, size, place
        self.missing: list[str] = []

    def rows(self) -> list[Row]:
        """The rows of all data; those are measured first on which most rests."""
        wanted = {
            f"{IMAGENET}, {SQUEEZENET_1_1}": self._pairs(SQUEEZENET_1_1),
            **{dataset: self._small(dataset) for dataset in SMALL},
            f"{IMAGENET}, nulls": self._nulls(),
            f"{IMAGENET}, {LITE_0}": self._pairs(LITE_0),
            HEADS: self._heads(),
            f"{IMAGENET}, {LITE_1}": self._pairs(LITE_1),
        }
        found = [row for told, rows in wanted.items() for row in self._finished(told, rows)]
        order = (IMAGENET, HEADS, *SMALL)
        return sorted(found, key=lambda row: (order.index(row.data), not row.informed))

    def _finished(self, told: str, rows: Iterator[Row]) -> Iterator[Row]:
        try:
            yield from rows
        except Missing as missing:
            self.missing.append(f"{told}: from {missing} on")

    def recipe(self, side: int) -> Recipe:
        """The frozen recipe for images of this side in pixels."""
        return Recipe.of(side, side, steps=self.size.steps)

    @cached_property
    def all_photographs(self) -> list[Photograph]:
        return photographs(self._place)

    @cached_property
    def agreed(self) -> Agreed:
        """The photographs whose label is the class that all three networks see in them."""
        found, nets = self.all_photographs, imagenet.trained()
        images = torch.stack([one.image for one in found])

        def make() -> Arrays:
            return {name: reading(net, images).predicted for name, net in nets.items()}

        key = (digest(images), [digest(net.net) for net in nets.values()])
        seen = np.stack(list(self.kept("agreement", key, make).values()))
        same = (seen == seen[0]).all(axis=0)
        return Agreed(
            [found[i] for i in np.flatnonzero(same)],
            torch.from_numpy(seen[0][same]),
            [found[i] for i in np.flatnonzero(~same)],
            digest(images),
        )

    @cached_property
    def imagenet(self) -> Given:
        """The agreed photographs; the spectrum is that of the others."""
        agreed = self.agreed
        return Given(
            torch.stack([one.image for one in agreed.photographs]),
            agreed.labels,
            torch.arange(len(agreed.photographs)),
            Spectrum.of(torch.stack([one.image for one in agreed.others])),
            imagenet.classes(),
            self.recipe(SIDE),
        )

    def chosen(self, count: int) -> list[int]:
        """`count` of the agreed photographs, drawn by the seed."""
        order = torch.randperm(
            len(self.imagenet.images), generator=torch.Generator().manual_seed(SEED)
        )
        return sorted(order[:count].tolist())

    @cached_property
    def named_too(self) -> np.ndarray:
        """Of the photographs that are filled, those whose file is named after the label, bool."""
        agreed, names = self.agreed, imagenet.classes()
        return np.array(
            [
                names_the_class(agreed.photographs[i], names[int(agreed.labels[i])])
                for i in self.chosen(self.size.photographs)
            ]
        )

    def _pairs(self, model: str) -> Iterator[Row]:
        nets = imagenet.trained()
        given = self.imagenet.at(self.chosen(self.size.photographs))
        readers = {name: net for name, net in nets.items() if name != model}
        yield from self._asked(IMAGENET, model, nets[model], given, readers)

    def _nulls(self) -> Iterator[Row]:
        nets = imagenet.trained()
        readers = {name: nets[name] for name in (LITE_0, LITE_1)}
        given = self.imagenet.at(self.chosen(self.size.null_photographs))
        for name, net in imagenet.without_knowledge().items():
            told = f"{SQUEEZENET_1_1}, {name}"
            yield from self._asked(IMAGENET, told, net, given, readers)

    def _small(self, dataset: str) -> Iterator[Row]:
        training = Training(self.kept, dataset, self.size)
        readers = {"small VGG": training.reference()}
        given = self.small(training)
        for name, net in training.variants().items():
            key = (digest(net.net), dataset, self.size.test_images)
            found = self.kept(
                f"accuracy {dataset} {name}",
                key,
                lambda net=net: {"accuracy": np.array(training.accuracy(net))},
            )
            yield from self._asked(dataset, name, net, given, readers, float(found["accuracy"]))

    def small(self, training: Training) -> Given:
        """Test images of a small data set; the spectrum is that of training images."""
        rows, labels = training.filled()
        return Given(
            training.test[0][rows],
            labels,
            rows,
            Spectrum.of(training.images[: self.size.spectrum]),
            small.classes(training.dataset),
            self.recipe(training.side),
        )

    def _heads(self) -> Iterator[Row]:
        found = [one for one in self.all_photographs if one.group in _GROUPS]
        order = torch.randperm(len(found), generator=torch.Generator().manual_seed(SEED))
        images = torch.stack([one.image for one in found])[order]
        groups = torch.tensor([list(_GROUPS).index(one.group) for one in found])[order]
        half, count = len(found) // 2, len(_GROUPS)
        seen, labels = images[:half], groups[:half]
        rows = slice(half, half + self.size.of_groups)
        given = Given(
            images[rows],
            groups[rows],
            order[rows],
            Spectrum.of(seen),
            tuple(_GROUPS.values()),
            self.recipe(SIDE),
        )
        body = heads.Lite0Body()
        noisy = heads.noisy(labels, LABEL_NOISE, count)
        reader = heads.with_head(
            self.kept, "SqueezeNet", heads.SqueezeNetBody(), seen, labels, count
        )
        plain = heads.with_head(self.kept, "Lite0", body, seen, labels, count)
        models = {
            "plain": plain,
            f"{LABEL_NOISE:.0%} label noise": heads.with_head(
                self.kept, "Lite0 noise", body, seen, noisy, count
            ),
        }
        for name, net in models.items():
            key = (digest(net.net), digest(images))
            accuracy = self.kept(
                f"accuracy head {name}", key, lambda net=net: _accuracy(net, images, groups, half)
            )
            yield from self._asked(
                HEADS,
                f"head on {LITE_0}, {name}",
                net,
                given,
                {f"head on {SQUEEZENET_1_1}": reader},
                float(accuracy["accuracy"]),
            )

    def _asked(
        self,
        data: str,
        model: str,
        net: Classifier,
        given: Given,
        readers: dict[str, Classifier],
        accuracy: float = float("nan"),
    ) -> Iterator[Row]:
        tables = asked(self.kept, f"{data} {model}", net, given, readers)
        for (way, reader), table in tables.items():
            informed = not model.endswith((RANDOM, CONSTANT, PERMUTED))
            yield Row(data, model, reader, way, informed, accuracy, table)


def _accuracy(net: Classifier, images: Tensor, labels: Tensor, half: int) -> Arrays:
    """On the photographs that the head was not trained on."""
    named = reading(net, images[half:]).predicted
    return {"accuracy": np.array((named == labels[half:].numpy()).mean())}
