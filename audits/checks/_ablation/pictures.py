"""Pictures of an ablation: a heat map of its cells, and grids of prototypes of some classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from audits.checks._ablation.cells import Variant, rows_of
from audits.checks._shared.fill import NULL
from audits.checks._shared.fonts import drawn_name
from audits.checks._shared.grids import heat_map, tiles
from audits.checks._shared.images import picture, slugs
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture
from fillblanks import threshold
from fillblanks.fills.update import Update

_CLASSES_SHOWN = 3


class Axes(NamedTuple):
    """The axes of a grid, and its steps with their captions: an update and a T each."""

    mask_ratios: Sequence[float]
    patch_sizes: Sequence[int]
    steps: Sequence[tuple[Update, Variant]]
    captions: Sequence[str]


def shown_prototypes(parts: Sequence[Part], variant: Variant) -> dict[int, np.ndarray]:
    """Prototypes of the images that are shown, uint8 (H, W, 3), by class, with one T."""
    shown = {}
    for part in parts:
        rows = np.flatnonzero(np.isin(part["index"], part["shown"]))
        update = torch.from_numpy(part["update"][rows])
        everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
        prototypes = threshold(update, everywhere, **variant._asdict())
        for row, prototype in zip(rows, prototypes, strict=True):
            shown[int(part["label"][row])] = picture(prototype)
    return shown


def grid_pictures(
    check: str,
    classes: Sequence[str],
    axes: Axes,
    rows: list[dict[str, Any]],
    drawings: list[dict[str, Any]],
) -> tuple[Picture, ...]:
    """A heat map and a grid of prototypes of some classes, a step for each update and T.

    `rows` and `drawings` have a dict for each cell and T, with its parameters and its `estimates`,
    or its prototypes by class as `shown`.
    """
    keys, found = slugs(classes), []
    shown = sorted(drawings[0]["shown"])[:_CLASSES_SHOWN]
    ratios, sizes = axes.mask_ratios, axes.patch_sizes
    steps = zip(axes.steps, axes.captions, strict=True)
    for step, ((update, variant), caption) in enumerate(steps):
        chosen = {"update": update, **variant._asdict()}
        lifts = [r["estimates"]["accuracy_lift"] for r in rows_of(rows, chosen)]
        map_ = heat_map(lifts, ratios, sizes, f"better than {NULL.title} by\n{caption}")
        found.append(Picture(f"{check}/consistency", step, map_, caption, small=False))
        for label in shown:
            cells = [r["shown"][label] for r in rows_of(drawings, chosen)]
            drawn = tiles(cells, ratios, sizes, f"{_titled(label, classes)}: {caption}")
            name = f"{check}/class_{keys[label]}"
            found.append(Picture(name, step, drawn, caption, small=False))
    # The heat map sums up all others and comes first.
    first = f"{check}/consistency"
    return tuple(sorted(found, key=lambda p: (p.key != first, p.key, p.step)))


def _titled(label: int, classes: Sequence[str]) -> str:
    """The name of a class, or its number and why."""
    name = drawn_name(label, classes)
    return name if name == classes[label] else f"{name} (no font here can write its name)"
