"""The figures of Completion: its metrics, their measurement, the sentence, and its pictures."""

import pandas as pd

from audits.checks._completion.other_orders import above_chance
from audits.checks._shared.images import class_in, value_in
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Reader, Seen, Shows
from audits.evidence.intervals import (
    bounded_mean,
    mean,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing

# What the steps of a slider show, and their captions. The last is where a slider opens in MLflow.
READ: dict[Shows, str] = {
    "photograph": "photograph",
    "masked": "blanked",
    "smooth": "interpolated",
    "foil": "for another class",
    "completed": "for its class",
}
READINGS = ("read", "sure", "place")
"""Columns `<name>_<picture>`: the class that the reader names, its probability, and the place of
the class that was asked for among all classes, from 1."""
OWN_COLUMNS = ("label", "foil", "own", *(f"{name}_{of}" for name in READINGS for of in READ))
REFERENCE_COLUMNS = (
    "gap_label",
    "gap_foil",
    "probability",
    "probability_start",
    "foil_probability",
    "foil_probability_start",
)
_PLACES = {
    "reference_top1": (1, "the reference's answer"),
    "reference_top5": (5, "in the reference's first five"),
}
_FEW = 20  # classes, of which five are too many to be told
# Above chance. Chosen after the table of docs/completion.md: networks that know nothing reach .07,
# one of them with an interval that does not hold 0.
_LEAST_LIFT = 0.1
_SHARES = {0.25: "a quarter", 0.5: "half", 0.75: "three quarters"}


def declared(reference: bool) -> dict[str, Metric]:
    """The metrics of the check; all that can be judged are by the reference."""
    own = Metric("the model's own probability of the class, in its completed image", better=None)
    if not reference:
        return {"own": own}

    def difference(title: str, column: str) -> Metric:
        return Metric(
            title,
            unit="difference",
            about_learning=True,
            rests_on="forced_choice",
            pairing=Pairing(column, "mean", same_size=True, low=-1.0, high=1.0),
        )

    return {
        "forced_choice": Metric(
            "images for which the reference tells which fill was asked for the class",
            null=Null("chance"),
            about_learning=True,
            pairing=Pairing("forced_choice", "mean", same_size=True),
            bounds=DefaultBounds(min_lift=_LEAST_LIFT),
            clause="fills blanks so that the reference tells for {} of images which class was "
            "asked for",
        ),
        "gap": Metric(
            "difference of the reference's logits, class minus foil, from the fill asked for the "
            "foil to that asked for the class",
            unit="nats",
            about_learning=True,
            rests_on="forced_choice",
            pairing=Pairing("gap", "unbounded_mean", same_size=True),
        ),
        "lift": difference("gain of the reference's probability of the class", "lift"),
        "foil_lift": difference(
            "gain of the reference's probability of another class, in the fill asked for it",
            "foil_lift",
        ),
        **{
            name: Metric(
                f"completed images whose class is {words}",
                null=Null("the blanks interpolated smoothly"),
                about_learning=True,
                rests_on="forced_choice",
            )
            for name, (_, words) in _PLACES.items()
        },
        **{
            f"{name}_whole": Metric(f"whole images whose class is {words}")
            for name, (_, words) in _PLACES.items()
        },
        "own": own,
    }


def with_differences(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that versions are compared by, image by image."""
    gap = table["gap_label"] - table["gap_foil"]
    return table.assign(
        gap=gap,
        forced_choice=(gap > 0) + 0.5 * (gap == 0),
        lift=table["probability"] - table["probability_start"],
        foil_lift=table["foil_probability"] - table["foil_probability_start"],
    )


def measured(table: pd.DataFrame, by_chance: Estimate | None) -> dict[str, Metric]:
    """The metrics over all images.

    `by_chance` is the forced choice by chance, None without a reference; with one `table` is that
    of `with_differences`.
    """
    metrics = declared(by_chance is not None)
    values = {name: table[name].to_numpy() for name in table.columns}
    found = {"own": metrics["own"].measured(bounded_mean(values["own"]))}
    if by_chance is None:
        return found
    choice = bounded_mean(values["forced_choice"])
    found["forced_choice"] = metrics["forced_choice"].measured(
        choice, by_chance, above_chance(choice, by_chance)
    )
    for name, (place, _) in _PLACES.items():
        fill, start, whole = (
            values[f"place_{of}"] <= place for of in ("completed", "smooth", "photograph")
        )
        found[name] = metrics[name].measured(
            proportion(fill), proportion(start), paired_difference(fill, start)
        )
        found[f"{name}_whole"] = metrics[f"{name}_whole"].measured(proportion(whole))
    estimates = {
        "gap": mean(values["gap"]),
        "lift": paired_mean_difference(values["probability"], values["probability_start"]),
        "foil_lift": paired_mean_difference(
            values["foil_probability"], values["foil_probability_start"]
        ),
    }
    found |= {name: metrics[name].measured(estimate) for name, estimate in estimates.items()}
    return {name: found[name] for name in metrics}


def sentence(n: int, metrics: dict[str, Metric], mask_ratio: float, classes: int) -> str:
    """The findings for `n` images in plain words; `classes` is the number of all classes."""
    blank = f"With {_share(mask_ratio)} of the image blank, "
    if "forced_choice" not in metrics:
        return (
            f"{blank}{n} images were completed for their class; without a reference no other "
            "network has read them, and nothing is judged."
        )
    choice = metrics["forced_choice"]
    assert choice.null is not None
    assert choice.null.estimate is not None
    told = choice.estimate.value * n
    highest = choice.null.estimate.high
    by_chance = "chance .5"
    if highest >= choice.estimate.value:
        by_chance += f"; by chance up to {highest * n:.6g} with the classes in another order"
    few = classes <= _FEW
    top = metrics["reference_top1" if few else "reference_top5"]
    assert top.null is not None
    assert top.null.estimate is not None
    place = "its answer" if few else "in its top 5"
    return (
        f"{blank}an independent network could tell in {told:.6g} of {n} images which fill had "
        f"been asked for the label ({by_chance}); the label was {place} for "
        f"{top.estimate.value:.0%}, before the fill for {top.null.estimate.value:.0%}."
    )


def captions(mask_ratio: float | None) -> tuple[str, ...]:
    """The names of the steps of a slider."""
    blank = READ["masked"] if mask_ratio is None else f"{_share(mask_ratio)} blank"
    return tuple(blank if shows == "masked" else caption for shows, caption in READ.items())


def _share(ratio: float) -> str:
    return _SHARES.get(ratio, f"{ratio:.0%}")


def seen(table: pd.DataFrame, index: int | None, label: int) -> list[Seen | None]:
    """What each step of a class's slider shows; the fill for another class is of that class."""
    if index is None or index not in table.index:
        return [None] * len(READ)
    foil = class_in(table, index, "foil")
    reader: Reader = "reference" if "gap_label" in table else "model"
    return [
        Seen(
            shows,
            index,
            foil if shows == "foil" else label,
            class_in(table, index, f"read_{shows}"),
            reader=reader,
            probability=value_in(table, index, f"sure_{shows}"),
            place=class_in(table, index, f"place_{shows}"),
        )
        for shows in READ
    ]
