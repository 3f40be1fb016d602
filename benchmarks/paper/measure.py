"""The rows of Table 1, its nulls, the spread over masks, convergence and the open points."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from paper.protocol import (
    DATASETS,
    MASK_RATIO,
    NETWORKS,
    NOISE,
    PATCH_SIZE,
    REFERENCE_SEED,
    T_PROGRESSIVE,
    T_RANDOM,
    Size,
)
from paper.recipes import Constant, Recipe, network, permuted, random_weights
from paper.study import Study, config_of, image_set

SHAPE = (1, 28, 28)
Figures = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One line of Table 1: the figures of one audit for each training seed."""

    dataset: str
    network: str
    kind: str  # "plain", "noise", or which null
    samples: int
    runs: tuple[Figures, ...]

    @property
    def means(self) -> Figures:
        return {name: float(np.mean([run[name] for run in self.runs])) for name in self.runs[0]}

    def spread(self, name: str) -> float:
        """Standard deviation over the runs; NaN for a single one."""
        values = [run[name] for run in self.runs]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def recipe(dataset: str, name: str, noisy: bool, seed: int, size: Size, **others: Any) -> Recipe:
    # Shuffled labels cannot be learnt, so they need no long training.
    epochs = size.epochs[name, noisy and not others.get("shuffled", False)]
    noise = NOISE[name] if noisy else 0.0
    return Recipe(dataset, name, noise, seed, size.training_images, epochs, **others)


class Bench:
    """Trains, registers and audits the networks of the tables."""

    def __init__(self, study: Study, size: Size):
        self.study, self.size = study, size
        self._uris: dict[str, str] = {}

    def net(self, dataset: str, name: str, noisy: bool, seed: int, **others: Any) -> nn.Module:
        wanted = recipe(dataset, name, noisy, seed, self.size, **others)
        return network(wanted, self.study.folder / "weights")

    def reference(self, dataset: str, name: str) -> str:
        """An independent network: the other architecture, another seed, trained with noise."""
        other = NETWORKS[1 - NETWORKS.index(name)]
        title = f"{dataset}-{other}-reference".lower()
        if title not in self._uris:
            net = self.net(dataset, other, True, REFERENCE_SEED)
            self._uris[title] = self.register(title, net, dataset)
        return self._uris[title]

    def register(self, title: str, net: nn.Module, dataset: str) -> str:
        return self.study.register(title, net, image_set(dataset, "test").classes, SHAPE)

    def figures(
        self, title: str, net: nn.Module, dataset: str, name: str, samples: int, seed: int = 0
    ) -> Figures:
        """One audit: performance, the random and the progressive test."""
        shared = {"patch_size": PATCH_SIZE}
        progressive: dict[str, Any] = {"kind": "progressive_fill", "binarise": T_PROGRESSIVE}
        if self.size.progressive is not None:
            progressive["images"] = self.size.progressive
        evidence = self.study.audit(
            self.register(title, net, dataset),
            config_of(dataset),
            [
                {"kind": "performance"},
                {
                    "kind": "random_fill",
                    "images": self.size.images,
                    "samples": samples,
                    "mask_ratio": MASK_RATIO,
                    "binarise": T_RANDOM,
                    **shared,
                },
                {**progressive, **shared},
            ],
            seed=seed,
            reference=self.reference(dataset, name),
            engine={} if samples >= 10_000 else None,
        )
        found = {k: m.value for e in evidence.values() for k, m in e.named_estimates.items()}
        self.study.say(
            f"{title}, {samples:,} masks: accuracy {found['performance/accuracy']:.3f}, prototypes "
            f"{found['random_fill/prototype_accuracy']:.3f}, progressive "
            f"{found['progressive_fill/agreement']:.3f}"
        )
        return found

    def table(self) -> Iterator[Row]:
        for dataset in DATASETS:
            for name in NETWORKS:
                headline = (dataset, name) == (DATASETS[0], NETWORKS[0])
                samples = self.size.headline if headline else self.size.samples
                for kind in ("plain", "noise"):
                    runs = [
                        self.figures(
                            f"{dataset}-{name}-{kind}-{seed}".lower(),
                            self.net(dataset, name, kind == "noise", seed),
                            dataset,
                            name,
                            samples,
                        )
                        for seed in self.size.seeds
                    ]
                    yield Row(dataset, name, kind, samples, tuple(runs))

    def nulls(self) -> Iterator[Row]:
        """Networks that have learnt nothing of the classes, through the same audit."""
        dataset, name = DATASETS[0], NETWORKS[0]
        noisy = self.net(dataset, name, True, 0)
        shuffled = self.net(dataset, name, True, 0, shuffled=True)
        for kind, net in {
            "random weights": random_weights(name, 0),
            "constant answer": Constant(),
            "shuffled labels": shuffled,
            "permuted weights": permuted(noisy, 0),
        }.items():
            title = f"{dataset}-{name}-{kind.replace(' ', '-')}".lower()
            samples = self.size.null_samples
            yield Row(
                dataset,
                name,
                kind,
                samples,
                (self.figures(title, net, dataset, name, samples),),
            )

    def mask_seeds(self) -> Row:
        """One network with several seeds of masks."""
        dataset, name, samples = DATASETS[0], NETWORKS[0], self.size.samples
        net, title = self.net(dataset, name, True, 0), f"{dataset}-{name}-noise-0".lower()
        runs = [
            self.figures(title, net, dataset, name, samples, seed) for seed in self.size.mask_seeds
        ]
        return Row(dataset, name, "noise", samples, tuple(runs))

    def convergence(self) -> pd.DataFrame:
        """The same images with ever more accepted masks."""
        dataset, name = DATASETS[0], NETWORKS[0]
        checks = [
            {
                "kind": "random_fill",
                "label": f"samples_{samples}",
                "samples": samples,
                "images": self.size.convergence_images,
                "patch_size": PATCH_SIZE,
                "mask_ratio": MASK_RATIO,
                "binarise": T_RANDOM,
            }
            for samples in self.size.convergence
        ]
        rows = []
        net = self.net(dataset, name, True, 0)
        uri = self.register(f"{dataset}-{name}-noise-0".lower(), net, dataset)
        evidence = self.study.audit(uri, config_of(dataset), checks)
        for samples in self.size.convergence:
            metrics = evidence[f"samples_{samples}"].estimates
            rows.append(
                {
                    "accepted masks": samples,
                    "random prototype": 100 * metrics["prototype_accuracy"].value,
                    "overlap of two halves": 100 * metrics["stability"].value,
                    "standard error of the largest update": 100
                    * metrics["relative_standard_error"].value,
                }
            )
        self.study.say("convergence")
        return pd.DataFrame(rows)
