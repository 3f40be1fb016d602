"""Figures 1 to 6 of the paper, drawn from our networks through the public functions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from audits.checks._shared.images import picture, signed_picture
from audits.data.imageset import ImageSet
from fillblanks import Classifier, Fill, expected_fill, fill_regions, progressive_fill, threshold
from paper.measure import Bench
from paper.protocol import DATASETS, MASK_RATIO, NETWORKS, PATCH_SIZE, T_PROGRESSIVE, T_RANDOM
from paper.recipes import pictures

_KINDS = {"plain": "(a) plain", "noise": "(b) noise"}


def one_of_each(dataset: str) -> tuple[Tensor, Tensor]:
    """The first test image of each class."""
    images, labels = pictures(dataset, train=False)
    rows = torch.stack([(labels == digit).nonzero()[0, 0] for digit in range(10)])
    return images[rows], labels[rows]


def _fill(net: nn.Module, images: Tensor, labels: Tensor, samples: int, **options: object) -> Fill:
    return expected_fill(
        Classifier(net, constant=True),
        images,
        labels,
        samples=samples,
        mask_ratio=MASK_RATIO,
        patch_size=PATCH_SIZE,
        binarise=T_RANDOM,
        **options,  # type: ignore[arg-type]
    )


def figure_1(bench: Bench, file: Path) -> None:
    """One image and one mask: the update, and T of it."""
    images, labels = one_of_each(DATASETS[0])
    heads = ["x", "M(x)", "update over M(x)", "update at the blanks", "T", "M(x) + T"]
    figure, grid = _grid(2, len(heads), 1.5, ["", ""], heads)
    nets = [bench.net(DATASETS[0], NETWORKS[0], kind == "noise", 0) for kind in _KINDS]
    fills = [_fill(net, images, labels, samples=1, average="raw") for net in nets]
    # Two networks may accept different first draws: take a digit for which both accept the same.
    same = (fills[0].blank == fills[1].blank).flatten(1).all(1) & fills[0].found & fills[1].found
    digit = int(same.nonzero()[0, 0]) if same.any() else 0
    for row, (kind, fill) in enumerate(zip(_KINDS, fills, strict=True)):
        update, blank = fill.update[digit], fill.blank[digit]
        shown = [
            picture(images[digit]),
            picture(fill.masked[digit]),
            _over(fill.masked[digit], update),
            signed_picture(torch.where(blank, update, 0)),
            picture(threshold(update[None], blank[None], binarise=T_RANDOM)[0]),
            picture(fill.composite[digit]),
        ]
        _row(grid[row], shown, _KINDS[kind])
    _save(figure, file)


def _over(image: Tensor, update: Tensor) -> np.ndarray:
    """The update in red and blue over the dimmed image."""
    base, colours = picture(image) * 0.35, signed_picture(update).astype(float)
    strength = 1 - colours.min(axis=2, keepdims=True) / 255
    return (base * (1 - strength) + colours * strength).astype(np.uint8)


def figure_2(bench: Bench, file: Path) -> None:
    """E[dx] and T of it, for an image of each class."""
    rows = [
        (dataset, kind, what) for dataset in DATASETS for kind in _KINDS for what in ("E[dx]", "T")
    ]
    names = [f"{dataset}\n{_KINDS[kind]}\n{what}" for dataset, kind, what in rows]
    figure, grid = _grid(len(rows), 10, 0.9, names, [])
    for start in range(0, len(rows), 2):
        dataset, kind, _ = rows[start]
        images, labels = one_of_each(dataset)
        net = bench.net(dataset, NETWORKS[0], kind == "noise", 0)
        fill = _fill(net, images, labels, bench.size.samples)
        _row(grid[start], [signed_picture(update) for update in fill.update], names[start])
        _row(grid[start + 1], [picture(one) for one in fill.prototype], names[start + 1])
    _save(figure, file)


def figure_3(bench: Bench, file: Path) -> None:
    """The progressive fill: the groups of patches, the steps, and the result."""
    images, labels = one_of_each(DATASETS[0])
    names = ["image", *(f"filled {share} %" for share in (25, 50, 75, 100))]
    shown = [1, 4, 7]
    figure, grid = _grid(len(names), 4 * len(shown), 0.9, names, [])
    net = bench.net(DATASETS[0], NETWORKS[0], True, 0)
    plain = bench.net(DATASETS[0], NETWORKS[0], False, 0)
    regions = fill_regions(
        images, groups=4, patch_size=PATCH_SIZE, seed=0, indices=torch.arange(10)
    )
    fills = [
        progressive_fill(
            Classifier(one, constant=True),
            images,
            labels,
            patch_size=PATCH_SIZE,
            binarise=T_PROGRESSIVE,
        )
        for one in (plain, net)
    ]
    for place, digit in enumerate(shown):
        left = 4 * place
        columns: list[list[np.ndarray | None]] = [
            [None, *(picture((regions[digit] == step).float()) for step in range(4))],
            [None, *(picture((regions[digit] <= step).float()) for step in range(4))],
            *([picture(images[digit]), *map(picture, fill.steps[digit])] for fill in fills),
        ]
        for column, cells in enumerate(columns):
            head = ["blank now", "own so far", "(a) plain", "(b) noise"][column]
            for row, cell in enumerate(cells):
                _show(grid[row, left + column], cell)
            grid[0, left + column].set_title(head, fontsize=7)
    for row, name in enumerate(names):
        grid[row, 0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
    _save(figure, file)


def figure_5(bench: Bench, file: Path) -> None:
    """First against second order, for an image of each class."""
    samples = bench.size.second_order_samples
    orders = ("first_order", "second_order")
    names = [
        f"{_KINDS[kind]}\n{order.split('_')[0]} order\n{what}"
        for kind in _KINDS
        for order in orders
        for what in ("E[dx]", "T")
    ]
    figure, grid = _grid(len(names), 10, 0.9, names, [])
    images, labels = one_of_each(DATASETS[0])
    row = 0
    for kind in _KINDS:
        net = bench.net(DATASETS[0], NETWORKS[0], kind == "noise", 0)
        for order in orders:
            fill = _fill(net, images, labels, samples, update=order)
            _row(grid[row], [signed_picture(update) for update in fill.update], names[row])
            _row(grid[row + 1], [picture(one) for one in fill.prototype], names[row + 1])
            row += 2
    _save(figure, file)


def figure_6(bench: Bench, file: Path) -> None:
    """With and without binarisation: prototypes, and the ends of progressive fills."""
    images, labels = one_of_each(DATASETS[0])
    names = [
        f"{_KINDS[kind]}\n{test}\n{'grey' if cut is None else f'> {cut}'}"
        for kind in _KINDS
        for test, cuts in (("random", (T_RANDOM, None)), ("progressive", (T_PROGRESSIVE, None)))
        for cut in cuts
    ]
    figure, grid = _grid(len(names), 10, 0.9, names, [])
    row = 0
    for kind in _KINDS:
        net = bench.net(DATASETS[0], NETWORKS[0], kind == "noise", 0)
        classifier = Classifier(net, constant=True)
        update = _fill(net, images, labels, bench.size.samples).update
        everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
        for cut in (T_RANDOM, None):
            shown = threshold(update, everywhere, binarise=cut)
            _row(grid[row], [picture(one) for one in shown], names[row])
            row += 1
        for cut in (T_PROGRESSIVE, None):
            fill = progressive_fill(classifier, images, labels, patch_size=PATCH_SIZE, binarise=cut)
            _row(grid[row], [picture(one) for one in fill.prototype], names[row])
            row += 1
    _save(figure, file)


def prototypes(
    rows: Sequence[tuple[str, Tensor]], heads: Sequence[str], file: Path, side: float = 1.0
) -> None:
    """A picture of each (C, H, W) in each row (n, C, H, W)."""
    figure, grid = _grid(len(rows), len(rows[0][1]), side, [name for name, _ in rows], heads)
    for cells, (name, shown) in zip(grid, rows, strict=True):
        _row(cells, [picture(one) for one in shown], name)
    _save(figure, file)


def first_of_classes(images: ImageSet, count: int) -> list[int]:
    return images.sampled_order(0)[:count].tolist()


def _grid(
    rows: int, columns: int, side: float, names: Sequence[str], heads: Sequence[str]
) -> tuple[Figure, np.ndarray]:
    room = 0.07 * max((len(line) for name in names for line in name.split("\n")), default=0)
    figure = Figure((side * columns + room + 0.3, side * rows + 0.3), layout="constrained", dpi=110)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        axes.set_title(head, fontsize=8)
    return figure, grid


def _row(cells: np.ndarray, shown: Sequence[np.ndarray], name: str) -> None:
    for axes, one in zip(cells, shown, strict=True):
        _show(axes, one)
    cells[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")


def _show(axes: Axes, shown: np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    if shown is None:
        axes.set_frame_on(False)
    else:
        axes.imshow(shown, interpolation="nearest")


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
