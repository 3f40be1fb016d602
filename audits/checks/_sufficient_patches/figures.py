"""The figures of `sufficient_patches`: how few suffice, by chance, and whether they lie inside."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from audits.checks._sufficient_patches.trial import RANDOM
from audits.checks.context import AuditContext
from audits.data.regions import Regions
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.intervals import bounded_mean, paired_mean_difference, proportion
from audits.evidence.metric import Metric, Null
from fillblanks.attribution.region_figures import inside_share, region_share
from fillblanks.masks import to_pixels

COLUMN_WORDS = {
    "images": "images that count",
    "share": "share of the patches that suffices",
    "random_share": "in a random order",
    "centre_share": "from the centre outwards",
    "same_patch": "images that keep the patch that most sets them apart",
    "same_patch_others": "images of other classes that keep it",
    "still_named": "still named so without these patches",
}
"""The columns of the table of classes, in words."""

_INSIDE = "inside"  # columns of regions
_REGION = "region"


def declared(regions: bool) -> dict[str, Metric]:
    """The metrics of the check, not measured yet."""
    metrics = {
        "gain": Metric(
            "share of the patches that is needed less than in a random order",
            unit="difference",
            null=Null("the best of as many random orders as were tried"),
        ),
        "share": Metric("patches that suffice for the answer", better=None, rests_on="gain"),
        "random_share": Metric("patches that suffice in a random order", better=None),
        "centre_share": Metric("patches that suffice from the centre outwards", better=None),
        "still_named": Metric(
            "images that are still named so without these patches", better=None, rests_on="gain"
        ),
    }
    if regions:
        metrics["share_inside"] = Metric(
            "sufficient patches that lie in the region",
            null=Null("the region's share of the image, as patches at any place have"),
            rests_on="gain",
            about_learning=True,
            clause="has {} of the patches that suffice for its answers in the regions",
        )
    metrics["coverage"] = Metric(
        "images that are named, and not as the blank image", is_coverage=True
    )
    return metrics


def table_of_images(parts: Sequence[Part]) -> pd.DataFrame:
    """A row for each image: its classes, its shares, and whether it counts (not as the blank).

    `random_share` is by as many random orders as were tried to find the patches, the one with the
    fewest, and a mean over such tries.
    """
    names = ("index", "label", "read", "alone", "rest", "order", "divergence")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    patches = parts[0]["kept"].shape[1]
    counts = {
        "share": np.concatenate([part["kept"].sum(1) for part in parts]),
        "random_share": np.concatenate([_by_chance(part) for part in parts]),
        "centre_share": np.concatenate([part["centre"] for part in parts]),
    }
    columns |= {name: values / patches for name, values in counts.items()}
    columns["counts"] = (columns["read"] >= 0) & (columns["read"] != columns["alone"])
    return pd.DataFrame(columns).set_index("index")


def _by_chance(part: Part) -> np.ndarray:
    tried = int(part["orders"])
    found: np.ndarray = part["random"].reshape(-1, RANDOM // tried, tried).min(2).mean(1)
    return found


def with_regions(
    audit: AuditContext, parts: Sequence[Part], regions: Regions, patch_size: int
) -> dict[str, np.ndarray]:
    """Of each image the share of its patches' pixels in its region, and the region's share."""
    inside, area = [], []
    for part in parts:
        outlined = regions.tensor(part["index"])
        kept = torch.from_numpy(part["kept"])
        inside.append(inside_share(to_pixels(kept, *audit.shape[1:], patch_size)[:, 0], outlined))
        area.append(region_share(outlined))
    return {_INSIDE: torch.cat(inside).numpy(), _REGION: torch.cat(area).numpy()}


def measured(table: pd.DataFrame) -> dict[str, Metric]:
    """The metrics with their figures, over the images that count.

    Raises NotApplicable if there are none.
    """
    counting = table[table["counts"]]
    if not (table["read"] >= 0).any():
        raise NotApplicable(
            f"Expected images for which the model has an answer, got none of {len(table)}: it "
            "gives NaN or infinity."
        )
    if not len(counting):
        raise NotApplicable(
            "Expected images that the model names otherwise than an image that is wholly blank, "
            "got none: no patch is needed for any answer."
        )
    metrics = declared(_INSIDE in table)
    column = {str(name): counting[name].to_numpy() for name in counting}
    gain = paired_mean_difference(column["random_share"], column["share"])
    found = {
        "gain": metrics["gain"].measured(gain, 0.0),
        **{
            name: metrics[name].measured(bounded_mean(column[name]))
            for name in ("share", "random_share", "centre_share")
        },
        "still_named": metrics["still_named"].measured(
            proportion(column["rest"] == column["read"])
        ),
        "coverage": metrics["coverage"].measured(proportion(table["counts"].to_numpy())),
    }
    if _INSIDE in table:
        inside, area = column[_INSIDE], column[_REGION]
        found["share_inside"] = metrics["share_inside"].measured(
            bounded_mean(inside), bounded_mean(area), paired_mean_difference(inside, area)
        )
    return {name: found[name] for name in metrics}


def classes_table(
    parts: Sequence[Part], table: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """A row for each class that the model names: the class with the fewest patches first.

    `same_patch` is of the patch that its images keep most often beyond those of other classes.
    """
    kept = np.concatenate([part["kept"] for part in parts])
    counts = table["counts"].to_numpy()
    rows = []
    for label in sorted(set(table["read"][table["counts"]])):
        own = counts & (table["read"] == label).to_numpy()
        some, others = table[own], kept[counts & ~own]
        here = kept[own].mean(0)
        elsewhere = others.mean(0) if len(others) else np.full_like(here, np.nan)
        patch = int((here - elsewhere if len(others) else here).argmax())
        rows.append(
            {
                "class": classes[label],
                "images": len(some),
                **{n: float(some[n].mean()) for n in ("share", "random_share", "centre_share")},
                "same_patch": float(here[patch]),
                "same_patch_others": float(elsewhere[patch]),
                "still_named": float((some["rest"] == some["read"]).mean()),
            }
        )
    return pd.DataFrame(rows).sort_values("share", kind="stable")


def sentence(table: pd.DataFrame, metrics: Mapping[str, Metric], classes: Sequence[str]) -> str:
    """The meaning of the figures, in plain words."""
    value = {name: metric.estimate.value for name, metric in metrics.items()}
    gain = metrics["gain"].estimate
    told = (
        f"The model gives an image the same class, with nearly the same probabilities, if it sees "
        f"{value['share']:.0%} of the patches ({value['random_share']:.0%} in a random order: "
        f"difference {gain.value:.0%}, 95 % interval {gain.low:.0%} to {gain.high:.0%}; "
        f"{value['centre_share']:.0%} from the centre outwards). Without these patches it still "
        f"names {value['still_named']:.0%} of these images so."
    )
    if not gain.low > 0:
        told += " The patches are not shown to be fewer than at random: nothing of them is judged."
    if "share_inside" in metrics:
        inside = metrics["share_inside"]
        assert inside.null is not None
        assert inside.null.estimate is not None
        told += (
            f" {inside.estimate.value:.0%} of these patches lie in the regions, which cover "
            f"{inside.null.estimate.value:.0%} of the images."
        )
    return f"{told} {_left_out_told(table, classes)}"


def _left_out_told(table: pd.DataFrame, classes: Sequence[str]) -> str:
    """The class of the blank image, and how many images have it."""
    left, alone = int((~table["counts"]).sum()), int(table["alone"].iloc[0])
    if alone < 0:
        return f"The blank image has no class; {left} of {len(table)} images have none either."
    return (
        f"A wholly blank image is {classes[alone]!r} for the model, so {left} of {len(table)} "
        "images, which are named so or not at all, are left out."
    )
