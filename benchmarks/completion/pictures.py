"""The pictures of the page: photographs and small images with their blanks filled."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audits.checks._shared.images import picture
from completion import imagenet
from completion.asked import Given, reading
from completion.imagenet import LITE_0, RANDOM, SQUEEZENET_1_1
from completion.kept import Arrays, digest
from completion.measure import Bench
from completion.small import Training
from fillblanks import Classifier

# Whose licence is told for each picture: Creative Commons, by these photographers.
CREDITS = {
    "dragon": "Raul654",
    "koala": "David Iliff",
    "lemur": "Sannse",
    "panda": "Aaron Logan",
    "polar_bear": "Arturo de Frias Marques",
    "scarlet_macaw": "Jar0d",
}
_WAYS = ("photograph", "blanked", "interpolated", "for its class", "for another class")
_SHOWN = ("plain", "noise-trained", RANDOM)
_QUALITY = 88  # of a JPEG
_LETTERS = 20  # of a class's name below a picture


def photographs(bench: Bench, file: Path) -> None:
    """Each photograph with a known licence: its blanks, and the fills of SqueezeNet."""
    names = [one.name for one in bench.agreed.photographs]
    rows = [i for i, name in enumerate(names) if name in CREDITS]
    given, nets = bench.imagenet.at(rows), imagenet.trained()
    found = _filled(bench, "photographs", nets[SQUEEZENET_1_1], given, nets[LITE_0])
    figure, grid = _grid(len(rows), len(_WAYS), 1.6, 0.3, 0.1)
    for axes, head in zip(grid[0], _WAYS, strict=True):
        axes.set_title(head, fontsize=10)
    short = [name.split(",")[0] for name in given.classes]
    for row, cells in enumerate(grid):
        for way, axes in zip(_WAYS, cells, strict=True):
            axes.imshow(found[way][row])
            read = f"{short[found[f'{way} read'][row]][:_LETTERS]} {found[f'{way} sure'][row]:.2f}"
            wanted = short[int(given.foils[row])][:_LETTERS]
            asked = f"asked: {wanted}\n" if way == _WAYS[-1] else ""
            axes.set_xlabel(f"{asked}{read}", fontsize=8, labelpad=1)
    _save(figure, file)


def small(bench: Bench, dataset: str, file: Path) -> None:
    """One test image of each class, as several networks fill it."""
    training = Training(bench.kept, dataset, bench.size)
    every = bench.small(training)
    given = every.at(list(range(0, len(every.images), bench.size.of_class)))
    classes = given.classes
    reference, nets = training.reference(), training.variants()
    rows: list[tuple[str, str, Arrays]] = []
    for name in _SHOWN:
        found = _filled(bench, f"{dataset} {name}", nets[name], given, reference)
        if not rows:
            told = ("image", *_WAYS[1:3])
            rows += [(name, way, found) for name, way in zip(told, _WAYS, strict=False)]
        rows += [(f"{name}\n{way}", way, found) for way in _WAYS[3:]]
    figure, grid = _grid(len(rows), len(given.images), 0.95, 0.14, 1.4)
    for row, (told, way, found) in zip(grid, rows, strict=True):
        row[0].set_ylabel(told, fontsize=8, rotation=0, ha="right", va="center")
        for column, axes in enumerate(row):
            axes.imshow(found[way][column], interpolation="nearest")
            read = classes[found[f"{way} read"][column]]
            asked = f"{classes[int(given.foils[column])]}: " if way == _WAYS[4] else ""
            axes.set_xlabel(f"{asked}{read}", fontsize=6, labelpad=1)
    _save(figure, file)


def _filled(bench: Bench, name: str, model: Classifier, given: Given, by: Classifier) -> Arrays:
    """For each way the pictures (n, H, W, 3), and class and probability that `by` reads."""

    def make() -> Arrays:
        done, other = given.filled(model, given.labels), given.filled(model, given.foils)
        shown = (given.images, given.images * ~done.blank, done.start, done.image, other.image)
        found: Arrays = {}
        for way, images in zip(_WAYS, shown, strict=True):
            read = reading(by, images)
            likeliest = read.log_probability.exp().amax(1)
            found |= {
                way: _pixels(images),
                f"{way} read": read.predicted,
                f"{way} sure": likeliest.numpy(),
            }
        return found

    return bench.kept(f"pictures {name}", (given.key(model), digest(by.net)), make)


def _pixels(images: Tensor) -> np.ndarray:
    return np.stack([picture(one) for one in torch.unbind(images)])


def _grid(
    rows: int, columns: int, side: float, below: float, left: float
) -> tuple[Figure, np.ndarray]:
    """Axes of `side` inches, with room for words below each and left of each row."""
    size = (side * columns + left, (side + below) * rows + 0.3)
    figure = Figure(size, layout="constrained", dpi=100)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.01, wspace=0, hspace=0)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    return figure, grid


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": _QUALITY} if file.suffix == ".jpg" else {}
    figure.savefig(file, pil_kwargs=options)
