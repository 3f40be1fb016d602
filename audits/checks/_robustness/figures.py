"""The figures of `robustness`: accuracy and fall of each corruption, and the worst of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from audits.checks._robustness.corruptions import KINDS, Corruption, Strength
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import (
    CONFIDENCE,
    bounded_mean,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import Metric, Pairing

COLUMN_WORDS = {"fall": "accuracy lost", "amount": "changed by"}
"""Columns of the table of corruptions, in words."""


def declared(corruptions: Sequence[Corruption]) -> dict[str, Metric]:
    """The metrics of the check, not measured yet.

    No default policy judges them: how much accuracy may be lost depends on what the model is for.
    """
    metrics = {
        "accuracy": Metric(
            "corrupted images named right",
            clause="names {} of corrupted images right",
            pairing=Pairing("corrupted", "mean", same_size=True),
        ),
        "accuracy_clean": Metric("the same images named right, as they are"),
        "fall": Metric("accuracy lost if images are corrupted", better="lower", unit="difference"),
        "worst_fall": Metric(
            "accuracy lost under the worst corruption", better="lower", unit="difference"
        ),
    }
    for corruption in corruptions:
        kind = KINDS[corruption]
        metrics[f"{corruption}_accuracy"] = Metric(
            f"{kind.told} named right",
            pairing=Pairing(corruption, "mean", same_size=kind.by_pixel),
        )
    return metrics


def images_table(parts: Sequence[Part], corruptions: Sequence[Corruption]) -> pd.DataFrame:
    """A row for each image: its class, the class predicted for it as it is, and shares.

    The column of a corruption is the share of its strengths at which the image is named right,
    `corrupted` that of all corruptions.
    """
    index, label, clean = (
        np.concatenate([part[name] for part in parts]) for name in ("index", "label", "clean")
    )
    right = _right(parts).mean(2)
    shares = dict(zip(corruptions, right.T, strict=True))
    columns = {"label": label, "clean": clean, "corrupted": right.mean(1), **shares}
    return pd.DataFrame(columns, index=pd.Index(index, name="index")).sort_index()


def _right(parts: Sequence[Part]) -> np.ndarray:
    """Whether an image is named right, bool (n, corruptions, strengths)."""
    right: np.ndarray = np.concatenate([p["read"] == p["label"][:, None, None] for p in parts])
    return right


def measured(table: pd.DataFrame, corruptions: Sequence[Corruption]) -> dict[str, Metric]:
    """The metrics with their figures."""
    clean = (table["clean"] == table["label"]).to_numpy()
    overall = table["corrupted"].to_numpy()
    estimates = {
        "accuracy": bounded_mean(overall),
        "accuracy_clean": proportion(clean),
        "fall": paired_mean_difference(clean, overall),
        "worst_fall": _worst(table, clean, corruptions),
    }
    for corruption in corruptions:
        estimates[f"{corruption}_accuracy"] = bounded_mean(table[corruption].to_numpy())
    metrics = declared(corruptions)
    return {name: metrics[name].measured(estimate) for name, estimate in estimates.items()}


def _worst(table: pd.DataFrame, clean: np.ndarray, corruptions: Sequence[Corruption]) -> Estimate:
    """The largest fall of all corruptions.

    Each fall is in its interval, all of them at once, in 95 % of cases (Bonferroni). Then the
    largest fall is between the largest of the lower limits and the largest of the upper ones.
    """
    confidence = 1 - (1 - CONFIDENCE) / len(corruptions)
    falls = [
        paired_mean_difference(clean, table[one].to_numpy(), confidence=confidence)
        for one in corruptions
    ]
    value, low, high = (
        max(getattr(fall, limit) for fall in falls) for limit in ("value", "low", "high")
    )
    return Estimate(value, low, high, len(table))


def corruptions_table(
    parts: Sequence[Part], amounts: Mapping[tuple[Corruption, Strength], str]
) -> pd.DataFrame:
    """A row for each corruption and strength: `amounts` in words, accuracy and fall.

    `amounts` are in the order of the parts.
    """
    clean = np.concatenate([part["clean"] == part["label"] for part in parts])
    right = _right(parts).reshape(len(clean), -1)
    rows = []
    for (corruption, strength), hits in zip(amounts, right.T, strict=True):
        accuracy, fall = proportion(hits), paired_difference(clean, hits)
        rows.append(
            {
                "corruption": KINDS[corruption].noun,
                "strength": strength,
                "amount": amounts[corruption, strength],
                "accuracy": accuracy.value,
                "accuracy_low": accuracy.low,
                "accuracy_high": accuracy.high,
                "fall": fall.value,
                "fall_low": fall.low,
                "fall_high": fall.high,
                "images": accuracy.n,
            }
        )
    return pd.DataFrame(rows)


def sentence(
    table: pd.DataFrame, metrics: Mapping[str, Metric], corruptions: Sequence[Corruption]
) -> str:
    """The meaning of the figures, in plain words."""
    before, after = (metrics[name].estimate for name in ("accuracy_clean", "accuracy"))
    told = (
        f"The model names {before.value:.1%} of {len(table)} images right, and {after.value:.1%} "
        "if they are corrupted."
    )
    fall = metrics["worst_fall"].estimate
    worst = min(corruptions, key=lambda one: metrics[f"{one}_accuracy"].estimate.value)
    if len(corruptions) == 1:
        return told
    return (
        f"{told} The worst corruption, {KINDS[worst].noun}, costs {100 * fall.value:.1f} points of "
        f"accuracy (95 % interval {100 * fall.low:.1f} to {100 * fall.high:.1f}, corrected for the "
        f"choice of the worst of {len(corruptions)})."
    )
