"""The methods on a small network of CIFAR-10: faithfulness on two baselines, and sanity."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from networks import cifar10
from truth.zoo import Specimen

from audits.checks._evidence.figures import declared, with_faithfulness
from audits.checks._evidence.trial import figures_of, null_maps
from audits.checks._shared.nulls import against_all
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import bounded_mean
from evidence.contenders import (
    SEED,
    Contender,
    chunk_of,
    integrated_gradients,
    ours,
    saliency,
    update_of_the_fill,
)
from fillblanks import Classifier
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.patch_means import patch_means
from fillblanks.attribution.permuted import permuted_weights
from fillblanks.attribution.ranks import spearman

PATCH, _SIDE = 4, 32
_NETWORK = 30_000  # a seed that no other network of the zoo has
_SPREAD = 1e-12


class Row(NamedTuple):
    """One method on all images."""

    name: str
    passes: int
    gradient: bool
    figures: dict[str, Estimate]
    lift: Estimate | None  # of faithfulness over both nulls; None for the nulls themselves
    sanity: Estimate | None  # rank correlation with maps of permuted weights


def contenders() -> list[Contender]:
    return [
        saliency(),
        ours("occlusion", _SIDE, PATCH),
        ours("blank_difference", _SIDE, PATCH, draws=50),
        integrated_gradients(50),
        ours("pami", _SIDE, PATCH),
        ours("blank_difference", _SIDE, PATCH, draws=121),
        update_of_the_fill(256, PATCH),
        ours("blank_difference", _SIDE, PATCH, draws=256),
        ours("blank_difference", _SIDE, PATCH, draws=512),
        ours("sobol", _SIDE, PATCH, draws=16),
        ours("blank_difference", _SIDE, PATCH, draws=1040),
    ]


def network(folder: Path) -> Classifier:
    """The network, trained once and kept in `folder`."""
    return Specimen("CIFAR10", "ResNet", "none", _NETWORK).classifier(folder)


def accuracy(classifier: Classifier) -> float:
    images, labels = cifar10(2000)
    return float((classifier.predict(images) == labels).float().mean())


def rows(classifier: Classifier, count: int) -> list[Row]:
    """All methods on the first `count` test images, for the classes that the network gives them."""
    images, _ = cifar10(count)
    labels, indices = classifier.predict(images), torch.arange(count)
    methods = contenders()
    maps = [_maps(one, classifier, images, labels) for one in methods]
    nulls = null_maps((_SIDE, _SIDE), PATCH, SEED, indices)
    with classifier.steady():
        found = figures_of(
            probabilities_of(classifier),
            images,
            labels,
            [*nulls, *maps],
            patch_size=PATCH,
            seed=SEED,
            indices=indices,
            chunk=chunk_of(images),
        )
    with permuted_weights(classifier.net, SEED):
        others = [_maps(one, classifier, images, labels) for one in methods]
    columns = with_faithfulness(found)
    result = [
        Row(name, 0, False, _means(columns, at), None, None)
        for at, name in enumerate(("random map", "map of the centre"))
    ]
    for at, one in enumerate(methods):
        values = np.stack([columns["faithfulness"][:, i] for i in (at + 2, 0, 1)], 1)
        lift = against_all(declared()["faithfulness"], values, -1).lift
        sanity = _sanity(maps[at], others[at])
        result.append(
            Row(one.name, one.passes, one.gradient, _means(columns, at + 2), lift, sanity)
        )
    return result


def _maps(
    one: Contender, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    print(one.name, one.passes, flush=True)
    return patch_means(one.maps(classifier, images, labels), PATCH)


def _means(columns: dict[str, np.ndarray], at: int) -> dict[str, Estimate]:
    lows = {"faithfulness": -1, "mu_fidelity_black": -1, "mu_fidelity_blurred": -1}
    return {
        name: bounded_mean(values[:, at], lows.get(name, 0)) for name, values in columns.items()
    }


def _sanity(maps: torch.Tensor, others: torch.Tensor) -> Estimate:
    """Over the images of which both networks have a map; none of one value."""
    both = (maps.std(1) > _SPREAD) & (others.std(1) > _SPREAD)
    return bounded_mean(
        spearman(maps[both], others[both]).numpy() if both.any() else np.array([]), -1
    )
