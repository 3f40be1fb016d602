"""The figures of `human_maps`: the model's maps beside maps by people, of the same image or not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks._shared.nulls import against_all
from audits.data.human_maps import HumanMaps
from audits.data.scan import named
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.intervals import proportion
from audits.evidence.metric import Metric, Null, Pairing
from fillblanks.attribution.agreement import spearman_with_others
from fillblanks.attribution.alignment import WithOthers, dice, iou, top
from fillblanks.attribution.patch_means import centre_patches, patch_means
from fillblanks.attribution.ranks import spearman

LOWS = {"spearman": -1.0, "dice": 0.0, "iou": 0.0}
"""The figures, and the least value of each."""

_OTHERS = Null("maps by people of other images")

COLUMN_WORDS = {
    "figure": "figure",
    "map": "the model, same image",
    "other_images": "the model, other images",
    "centre": "a map of the centre, same image",
    "centre_other_images": "a map of the centre, other images",
}
"""The columns of the table of figures, in words."""


def declared() -> dict[str, Metric]:
    """The metrics, not measured yet."""
    titles = {
        "spearman": "rank correlation of the model's maps with those by people",
        "dice": "Dice of the highest 10 % of the model's maps and of those by people",
        "iou": "intersection over union of the highest 10 % of both",
    }
    metrics = {
        name: Metric(
            title,
            unit="difference" if LOWS[name] else "share",
            null=_OTHERS,
            pairing=Pairing(name, "mean", same_size=True, low=LOWS[name]),
            about_learning=True,
        )
        for name, title in titles.items()
    }
    metrics["coverage"] = Metric(
        "images with a class and a map by people that varies", is_coverage=True
    )
    return metrics


class Compared(NamedTuple):
    """The images whose maps by people vary, with the figures of each."""

    columns: dict[str, np.ndarray]  # of these n images, by name
    own: dict[str, np.ndarray]  # figures with the own map and with those of others, (n, 2) each
    centre: dict[str, np.ndarray]  # the same for a map of the centre
    covered: np.ndarray  # bool (N,): of all images
    flat: list[str]  # files of the maps of one value


def compared(
    parts: Sequence[Part], maps: HumanMaps, shape: tuple[int, int], patch_size: int
) -> Compared:
    """All comparisons. Raises AuditError for maps that cannot be read; NotApplicable."""
    found = {
        name: np.concatenate([part[name] for part in parts])
        for name in ("index", "label", "read", "map")
    }
    indices = found["index"]
    people = torch.cat([patch_means(maps.tensor(part["index"]), patch_size) for part in parts])
    varies = (people.amax(1) > people.amin(1)).numpy()
    if varies.sum() < 2:
        raise NotApplicable(
            "Expected maps by people of two images or more that are not of one value, got "
            f"{int(varies.sum())} of {len(varies)}."
        )
    own, people = torch.from_numpy(found["map"][varies]), people[torch.from_numpy(varies)]
    centre = centre_patches(*shape, patch_size).expand_as(own)
    return Compared(
        {name: found[name][varies] for name in ("index", "label", "read")},
        figures_of(own, people),
        figures_of(centre, people),
        varies & (found["read"] >= 0),
        maps.names(indices[~varies]),
    )


def figures_of(maps: Tensor, people: Tensor) -> dict[str, np.ndarray]:
    """Each figure of maps and maps by people, float (n, P): of the same image, and of others.

    float64 (n, 2) each.
    """
    ours, theirs = top(maps), top(people)
    others = WithOthers(ours, theirs)
    pairs = {
        "spearman": (spearman(maps, people), spearman_with_others(maps, people)),
        "dice": (dice(ours, theirs), others.dice),
        "iou": (iou(ours, theirs), others.iou),
    }
    return {name: torch.stack(pair, 1).numpy() for name, pair in pairs.items()}


def measured(found: Compared) -> dict[str, Metric]:
    """The metrics with their figures."""
    coverage = declared()["coverage"].measured(proportion(found.covered))
    return {**against_others(found.own), "coverage": coverage}


def against_others(figures: Mapping[str, np.ndarray]) -> dict[str, Metric]:
    """The metrics of `figures_of`, but for the coverage."""
    metrics = declared()
    return {name: against_all(metrics[name], figures[name], LOWS[name]) for name in LOWS}


def images_columns(found: Compared) -> dict[str, np.ndarray]:
    """Of each image: its index, its classes, and its figures with their nulls."""
    columns = dict(found.columns)
    for name, values in found.own.items():
        columns[name], columns[f"{name}_other_images"] = values.T
    return columns


def figures_table(found: Compared) -> pd.DataFrame:
    """A row for each figure: of the model, and of a map of the centre."""
    rows = [
        {
            "figure": name,
            "map": found.own[name][:, 0].mean(),
            "other_images": found.own[name][:, 1].mean(),
            "centre": found.centre[name][:, 0].mean(),
            "centre_other_images": found.centre[name][:, 1].mean(),
        }
        for name in LOWS
    ]
    return pd.DataFrame(rows)


def sentence(found: Compared, metrics: Mapping[str, Metric]) -> str:
    """The meaning of the figures, in plain words."""
    (same, other), (near, far) = (
        values["spearman"].mean(0) for values in (found.own, found.centre)
    )
    shared, by_chance = found.own["iou"].mean(0)
    told = (
        f"The model's maps have a rank correlation of {same:.2f} with where people look in the "
        f"same image, and of {other:.2f} with where they look in other images (a map of the "
        f"centre: {near:.2f} and {far:.2f}). The highest 10 % of both overlap by {shared:.2f} "
        f"(other images {by_chance:.2f})."
    )
    lift = metrics["spearman"].lift
    if lift is None or not lift.low > 0:
        told += (
            " It is not shown that the model looks where people do, beyond what all images have in "
            "common."
        )
    if found.flat:
        told += (
            f" {len(found.flat)} maps by people are of one value and tell nothing; their images "
            f"are left out: {named(found.flat)}."
        )
    return told
