"""The figures of `evidence`: whether the maps hold, and what people may read from them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from audits.checks._evidence.trial import FIDELITY, FIGURES, MAPS, figure_names
from audits.checks._shared.maps import BASELINES
from audits.checks._shared.nulls import against_all
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import bounded_mean, proportion
from audits.evidence.metric import Metric, Null

_NULL = Null("the better of a random map and a map of the centre")
_WORDS = {
    "deletion": "probability while patches are hidden, the highest first",
    "insertion": "probability while patches are shown, the highest first",
    FIDELITY: "rank correlation of a map's sums with what hiding random subsets costs",
}
_BEHIND = {"black": "on black", "blurred": "on the blurred image"}

COLUMN_WORDS = {
    "figure": "figure of the maps",
    "map": "the maps",
    "random": "random maps",
    "centre": "a map of the centre",
}
"""The columns of the table of figures, in words."""


def declared() -> dict[str, Metric]:
    """The metrics of every map, not measured yet."""
    metrics = {
        "faithfulness": Metric(
            "insertion minus deletion along the maps, over both baselines",
            unit="difference",
            null=_NULL,
            clause="gives maps of evidence with a faithfulness of {}",
        )
    }
    for figure in FIGURES:
        for baseline in BASELINES:
            metrics[f"{figure}_{baseline}"] = Metric(
                f"{_WORDS[figure]}, {_BEHIND[baseline]}",
                better="lower" if figure == "deletion" else "higher",
                unit="difference" if figure == FIDELITY else "share",
                null=_NULL,
            )
    metrics["sanity_correlation"] = Metric(
        "rank correlation with the maps of the same network with permuted weights",
        better="lower",
        unit="difference",
        rests_on="faithfulness",
    )
    metrics["coverage"] = Metric("images that have a map", is_coverage=True)
    return metrics


def measured(parts: Sequence[Part]) -> dict[str, Metric]:
    """The metrics of every map with their figures, over all images."""
    metrics, columns = declared(), columns_of(parts)
    found = {
        name: against_all(
            metrics[name], columns[name], -1 if metrics[name].unit == "difference" else 0
        )
        for name in ("faithfulness", *figure_names())
    }
    read = np.concatenate([part["read"] for part in parts])
    return found | {
        "sanity_correlation": metrics["sanity_correlation"].measured(_sanity(parts)),
        "coverage": metrics["coverage"].measured(proportion(read >= 0)),
    }


def _sanity(parts: Sequence[Part]) -> Estimate:
    """The mean over images with both maps; UNMEASURED if those are less than half of all."""
    if not has_sanity(parts):
        return UNMEASURED
    found = np.concatenate([part["sanity"] for part in parts])
    known = found[~np.isnan(found)]
    return bounded_mean(known, -1) if 2 * len(known) >= len(found) else UNMEASURED


def has_sanity(parts: Sequence[Part]) -> bool:
    """Whether maps with permuted weights were made."""
    return all("sanity" in part for part in parts)


def columns_of(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """Each figure of the maps and of the two nulls, float64 (n, 3), and their faithfulness."""
    names = figure_names()
    found = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return with_faithfulness(found)


def with_faithfulness(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The figures, and first insertion minus deletion, as a mean over both baselines."""
    gains = [found[f"insertion_{name}"] - found[f"deletion_{name}"] for name in BASELINES]
    return {"faithfulness": np.mean(gains, axis=0), **found}


def images_columns(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """Of each image: its index, its classes, and how faithful its map and the nulls' are."""
    columns = {
        name: np.concatenate([part[name] for part in parts]) for name in ("index", "label", "read")
    }
    gains = columns_of(parts)["faithfulness"]
    for at, name in enumerate(MAPS):
        columns["faithfulness" if name == "map" else f"faithfulness_{name}"] = gains[:, at]
    return columns


def figures_table(parts: Sequence[Part]) -> pd.DataFrame:
    """A row for each figure: the mean of the maps and of each null."""
    means = {name: values.mean(0) for name, values in columns_of(parts).items()}
    table = pd.DataFrame.from_dict(means, orient="index", columns=list(MAPS))
    return table.rename_axis("figure").reset_index()


def sentence(parts: Sequence[Part], metrics: Mapping[str, Metric]) -> str:
    """The meaning of the figures, in plain words."""
    hidden, shown_first = (
        np.mean([columns_of(parts)[f"{name}_{b}"].mean(0) for b in BASELINES], axis=0)
        for name in ("deletion", "insertion")
    )
    told = (
        "If the patches that its map marks are hidden first, the model gives its answer a "
        f"probability of {hidden[0]:.2f} on the way (random order {hidden[1]:.2f}, from the centre "
        f"{hidden[2]:.2f}); if they are shown first, {shown_first[0]:.2f} "
        f"({shown_first[1]:.2f}, {shown_first[2]:.2f})."
    )
    lift = metrics["faithfulness"].lift
    if lift is None or not lift.low > 0:
        told += (
            " The maps are not shown to be better than random maps and a map of the centre: "
            "nothing that rests on them is judged."
        )
    return f"{told} {_sanity_told(parts, metrics['sanity_correlation'].estimate)}"


def _sanity_told(parts: Sequence[Part], correlation: Estimate) -> str:
    if not has_sanity(parts):
        return (
            "The model has no weights that can be permuted, so its maps were not compared with "
            "those of a network that knows nothing."
        )
    if not correlation.n:
        return (
            "With permuted weights most maps have one value everywhere, or these have: they were "
            "not compared."
        )
    return (
        f"With permuted weights the maps have a rank correlation of {correlation.value:.2f} with "
        "these (1: they do not show what the model has learnt)."
    )
