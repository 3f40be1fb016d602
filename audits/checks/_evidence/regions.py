"""Figures of `evidence` about regions: maps in them, and objects before other backgrounds."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks._shared.forms import columns_form
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.regions import Regions
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.intervals import (
    bounded_mean,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import Metric, Null, Pairing
from fillblanks.attribution.region_figures import inside_share, pointing, region_share
from fillblanks.masks import keys, to_pixels

_OTHER, _SAME = -12, -13  # draws of backgrounds; masks use 0, 1, ...
_DIGITS = 16  # of a digest
_LEAST_BACKGROUND = 0.1  # share of an image; chosen, not measured
_LEAST_EXCHANGED = 0.5  # share of the images, so that no few classes stand for all; chosen
READ = ("read_other_background", "read_same_background")
"""Columns: the class of the object before a background of another class, and of its own."""

_EXCHANGED = "exchanged"  # column: whether the image and its givers have an object and a background

_AREA = Null("the map moved to all places: the region's share of the image")


def declared_in_regions() -> dict[str, Metric]:
    """The metrics that need regions, not measured yet."""
    return {
        "inside_share": Metric(
            "evidence for the answer that lies in the region",
            null=_AREA,
            pairing=Pairing("inside_share", "mean"),
            rests_on="faithfulness",
            about_learning=True,
            clause="has {} of the evidence for its answers in the regions",
        ),
        "pointing": Metric(
            "maps whose highest place lies in the region", null=_AREA, rests_on="faithfulness"
        ),
        "same_background_accuracy": Metric(
            "regions named right before the background of another image of their class",
            null=Null("always the class that most of these images have"),
        ),
        "other_background_accuracy": Metric(
            "regions named right before the background of another class",
            rests_on="same_background_accuracy",
        ),
        "background_named": Metric(
            "the same images named as the class of their background",
            better="lower",
            rests_on="same_background_accuracy",
        ),
        "background_reliance": Metric(
            "accuracy lost if the background is of another class instead of the same",
            better="lower",
            unit="difference",
            rests_on="same_background_accuracy",
            about_learning=True,
            clause="loses {} of accuracy if the background is of another class",
        ),
    }


def regions_cell(
    audit: AuditContext, regions: Regions, chosen: np.ndarray
) -> tuple[tuple[str, str], ...]:
    """Digests of all images and regions for units: any image may give a background."""
    return (
        ("images", audit.images.digest(chosen)[:_DIGITS]),
        ("regions", regions.digest(chosen)[:_DIGITS]),
    )


def before_backgrounds(
    audit: AuditContext, unit: Unit, regions: Regions, chosen: np.ndarray
) -> Part:
    """How the model names the regions of the unit's images before backgrounds of other images.

    Xiao et al. 2020 (arXiv 2006.09994), Mixed-Rand with other classes and Mixed-Same.
    """
    indices = np.array(unit.indices)
    images, inside = audit.images.tensor(indices), regions.tensor(indices)[:, None]
    exchanged = _with_both(inside)
    part: Part = {}
    for column, draw in zip(READ, (_OTHER, _SAME), strict=True):
        givers = _givers(audit, indices, chosen, draw)
        theirs = regions.tensor(givers)[:, None]
        exchanged &= _with_both(theirs)
        behind = _backgrounds(audit.images.tensor(givers), theirs)
        seen = torch.where(inside, images, behind)
        part[column] = recognise(audit, seen, torch.ones(len(seen), dtype=torch.bool))
        if draw == _OTHER:
            part["background"] = audit.images.labels[givers]
    return part | {_EXCHANGED: exchanged.numpy()}


def backgrounds_form(audit: AuditContext, unit: Unit) -> dict[str, Array]:
    """The form of the part that `before_backgrounds` adds."""
    exchanged = {_EXCHANGED: Array("bool", (len(unit.indices),))}
    return columns_form(audit, unit, *READ, "background") | exchanged


def _with_both(inside: Tensor) -> Tensor:
    """Whether regions, bool (n, 1, H, W), hold something and leave enough background, bool (n,)."""
    share = region_share(inside[:, 0])
    return (share > 0) & (share <= 1 - _LEAST_BACKGROUND)


def _givers(audit: AuditContext, indices: np.ndarray, chosen: np.ndarray, draw: int) -> np.ndarray:
    """For each image another one that gives its background: of another class, or of its own.

    An image without another of its class keeps its own background.
    """
    given = torch.from_numpy(indices)
    drawn = keys(audit.seed, given, torch.full_like(given, draw), 1)[:, 0]
    labels, found = audit.images.labels[chosen], []
    for index, key in zip(indices.tolist(), drawn.tolist(), strict=True):
        own = labels == audit.images.labels[index]
        pool = chosen[own & (chosen != index)] if draw == _SAME else chosen[~own]
        if not len(pool):
            if draw == _OTHER:
                raise NotApplicable(
                    "Expected images of at least two classes, whose backgrounds can be exchanged."
                )
            pool = np.array([index])
        found.append(int(pool[key % len(pool)]))
    return np.array(found)


def _backgrounds(images: Tensor, inside: Tensor) -> Tensor:
    """Images (n, C, H, W) whose regions, bool (n, 1, H, W), have the mean colour of the rest."""
    outside = ~inside
    rest = outside | ~outside.any((2, 3), keepdim=True).expand_as(outside)
    colour = (images * rest).sum((2, 3), keepdim=True) / rest.sum((2, 3), keepdim=True)
    return torch.where(inside, colour, images)


def region_columns(
    audit: AuditContext, parts: Sequence[Part], regions: Regions, patch_size: int
) -> dict[str, np.ndarray]:
    """A value for each image, in the order of the parts: of its map in its region, and of both."""
    columns = {
        name: np.concatenate([part[name] for part in parts])
        for name in ("background", *READ, _EXCHANGED)
    }
    found = []
    for part in parts:
        inside = regions.tensor(part["index"])
        maps = to_pixels(torch.from_numpy(part["map"]), *audit.shape[1:], patch_size)[:, 0]
        figures = (inside_share(maps, inside), pointing(maps, inside), region_share(inside))
        found.append(torch.stack(figures, 1).numpy())
    for name, values in zip(
        ("inside_share", "pointing", "region_share"), np.concatenate(found).T, strict=True
    ):
        columns[name] = values
    return columns


def measured_in_regions(columns: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, Metric]:
    """The metrics that need regions with their figures."""
    metrics, area = declared_in_regions(), columns["region_share"]
    found = {
        name: metrics[name].measured(
            bounded_mean(columns[name]),
            bounded_mean(area),
            paired_mean_difference(columns[name], area),
        )
        for name in ("inside_share", "pointing")
    }
    counted = columns[_EXCHANGED]
    if counted.mean() < _LEAST_EXCHANGED:
        counted = np.zeros_like(counted)
    other, same, behind = (columns[name][counted] for name in (*READ, "background"))
    labels = labels[counted]
    by_same, always = same == labels, labels == _most_frequent(labels)
    found["same_background_accuracy"] = metrics["same_background_accuracy"].measured(
        proportion(by_same), proportion(always), paired_difference(by_same, always)
    )
    estimates = {
        "other_background_accuracy": proportion(other == labels),
        "background_named": proportion(other == behind),
        "background_reliance": paired_difference(by_same, other == labels),
    }
    return found | {name: metrics[name].measured(e) for name, e in estimates.items()}


def _most_frequent(labels: np.ndarray) -> int:
    """The label of most images, the first of several; -1 without images."""
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()]) if len(labels) else -1


def regions_told(metrics: dict[str, Metric]) -> str:
    """The meaning of these figures, in plain words."""
    inside, reliance = metrics["inside_share"], metrics["background_reliance"].estimate
    assert inside.null is not None
    assert inside.null.estimate is not None
    right = metrics["other_background_accuracy"].estimate.value
    lies = (
        f"{inside.estimate.value:.0%} of the evidence for the answers lies in the regions, which "
        f"cover {inside.null.estimate.value:.0%} of the images."
    )
    if not reliance.n:
        return (
            f"{lies} Backgrounds were not judged: less than {_LEAST_EXCHANGED:.0%} of the images, "
            "and of those that give them a background, have a region that holds something and "
            f"leaves at least {_LEAST_BACKGROUND:.0%} of the image."
        )
    return (
        f"{lies} Of {inside.estimate.n} regions {reliance.n} were put before other backgrounds: "
        f"{right:.0%} are named right before that of another class, {reliance.value:.0%} less than "
        "before that of the same class."
    )
