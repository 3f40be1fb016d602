"""Colour and size: the best T for colour, and the best patch sizes for 32x32 and 224x224.

The criterion is the share of prototypes that an independent network recognises, minus its null, the
same pixels at random places. SqueezeNet has no second network with the same classes here, so it
recognises its own prototypes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from networks import DATA, SQUEEZENET, squeezenet
from torch import Tensor, nn
from torch.nn import functional

from fillblanks import Classifier, expected_fill, threshold
from fillblanks.fills.threshold import Normalise
from paper.measure import Bench
from paper.pictures import first_of_classes, prototypes
from paper.protocol import MASK_RATIO, REFERENCE_SEED
from paper.recipes import Recipe, network
from paper.study import image_set, loaded

_CUTS: tuple[float | str | None, ...] = (0.05, 0.1, 0.3, "otsu", None)
_NORMALISE = ("positive", "minmax")
_COLOUR_NOISE = 0.5
_TRAINED = 9_000  # of the 10,000 training images of CIFAR-10; T and patches are settled on the rest
_DRAWN = 6
_DRAWN_T: tuple[tuple[Normalise, float | None, str], ...] = (
    ("minmax", None, "minmax, kept"),
    ("positive", 0.1, "positive, > 0.1"),
)


@dataclass(frozen=True)
class Subject:
    """A network of colour images, and the patch sizes that are tried on it."""

    name: str
    net: nn.Module
    uri: str
    data: dict[str, Any]
    sizes: tuple[int, ...]
    images: int
    samples: int
    reference: str | None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


def cifar(bench: Bench) -> list[Subject]:
    """A small ResNet on CIFAR-10, with and without noise; a smaller one is the reference."""

    def trained(name: str, noise: float, seed: int) -> nn.Module:
        recipe = Recipe("CIFAR10", name, noise, seed, _TRAINED, bench.size.colour_epochs)
        return network(recipe, bench.study.folder / "weights")

    def registered(title: str, net: nn.Module) -> str:
        classes = image_set("CIFAR10", "test").classes
        return bench.study.register(title, net, classes, (3, 32, 32))

    reference = registered("cifar10-reference", trained("ResNet5", _COLOUR_NOISE, REFERENCE_SEED))
    held_out = _held_out(bench)
    found = []
    for kind, noise in (("plain", 0.0), ("noise", _COLOUR_NOISE)):
        net = trained("ResNet7", noise, 0)
        found.append(
            Subject(
                f"CIFAR-10, {kind}",
                net,
                registered(f"cifar10-resnet7-{kind}", net),
                held_out,
                (1, 2, 4, 8, 16),
                bench.size.colour_images,
                bench.size.colour_samples,
                reference,
            )
        )
    return found


def _held_out(bench: Bench) -> dict[str, Any]:
    """The config's `data` for training images on which no network was trained."""
    file = bench.study.folder / "cifar10_held_out.npz"
    with np.load(DATA / "CIFAR10" / "cifar10_train.npz") as data:
        np.savez(file, x=data["x"][_TRAINED:], y=data["y"][_TRAINED:], classes=data["classes"])
    return {"kind": "npz", "path": str(file), "classes": "classes"}


def photographs(bench: Bench) -> Subject:
    """SqueezeNet on crops of the photographs that come with scikit-image and scikit-learn."""
    labels_file = next((DATA / "squeezenet1_1").glob("*.labels"))
    classes = _distinct(labels_file.read_text(encoding="utf-8").splitlines())
    net = squeezenet().eval()
    images = torch.cat([crop for picture in _pictures() for crop in _crops(picture, bench)])
    images = (images * 255).round() / 255
    labels = Classifier(net, mean=SQUEEZENET.mean, std=SQUEEZENET.std).predict(images)
    file = bench.study.folder / "photographs.npz"
    np.savez(
        file,
        x=(images.permute(0, 2, 3, 1) * 255).round().byte().numpy(),
        y=labels.numpy(),
        classes=np.array(classes),
    )
    uri = bench.study.register(
        "squeezenet", net, tuple(classes), (3, 224, 224), SQUEEZENET.mean, SQUEEZENET.std
    )
    return Subject(
        "SqueezeNet 1.1, photographs",
        net,
        uri,
        {"kind": "npz", "path": str(file), "classes": "classes"},
        (8, 16, 32, 56, 112),
        len(images),
        min(bench.size.grid_samples, 48),
        None,
        SQUEEZENET.mean,
        SQUEEZENET.std,
    )


def _distinct(names: list[str]) -> list[str]:
    """The names, made different: ImageNet has two cranes and two maillots."""
    return [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _pictures() -> list[np.ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_images

    return [data.chelsea(), data.coffee(), data.rocket(), *load_sample_images().images]


def _crops(picture: np.ndarray, bench: Bench) -> list[Tensor]:
    """The largest square in the middle, then smaller ones towards the corners; 224x224."""
    height, width = picture.shape[:2]
    side = min(height, width)
    part = side * 4 // 5
    places = [((height - side) // 2, (width - side) // 2, side)]
    places += [
        (top, left, part)
        for top in (height // 2 - part // 2, 0)
        for left in (width // 2 - part // 2, width - part)
    ][: bench.size.crops - 1]
    whole = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    return [
        functional.interpolate(
            whole[..., top : top + extent, left : left + extent],
            (224, 224),
            mode="bilinear",
            antialias=True,
        ).clamp(0, 1)
        for top, left, extent in places
    ]


def cells(bench: Bench, subject: Subject) -> pd.DataFrame:
    """The ablation's table over patch size and T, from an audit of the subject."""
    check = {
        "kind": "ablation",
        "images": subject.images,
        "mask_ratio": [MASK_RATIO],
        "patch_size": list(subject.sizes),
        "normalise": list(_NORMALISE),
        "binarise": list(_CUTS),
        "samples": subject.samples,
    }
    evidence = bench.study.audit(
        subject.uri, subject.data, [check], reference=subject.reference, engine={}
    )
    table = evidence["ablation"].tables["cells"].assign(network=subject.name)
    judge = "reference_" if subject.reference else ""
    bench.study.say(subject.name)
    return table.assign(
        judged=table[f"{judge}accuracy"],
        judged_null=table[f"{judge}accuracy_null"],
        judged_lift=table[f"{judge}accuracy_lift"],
    )


def best(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The mean lift of each choice over all other choices, best first."""
    return table.groupby(by)["judged_lift"].mean().sort_values(ascending=False).reset_index()


def draw(subject: Subject, file: Path) -> None:
    """Prototypes of some images over patch sizes, with two T."""
    images = loaded(subject.data)
    chosen = first_of_classes(images, _DRAWN)
    x, y = images.tensor(chosen), torch.from_numpy(images.labels[chosen])
    rows = [("image", x)]
    for size in subject.sizes:
        fill = expected_fill(
            Classifier(subject.net, mean=subject.mean, std=subject.std, constant=True),
            x,
            y,
            samples=subject.samples,
            mask_ratio=MASK_RATIO,
            patch_size=size,
        )
        everywhere = torch.ones_like(fill.update[:, :1], dtype=torch.bool)
        for normalise, cut, told in _DRAWN_T:
            shown = threshold(fill.update, everywhere, normalise=normalise, binarise=cut)
            rows.append((f"{size}x{size}\n{told}", shown))
    prototypes(rows, [images.classes[label][:14] for label in y.tolist()], file)
