"""The figures of `concepts`: which concept stands out, and how far when it is looked at again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from audits.checks._concepts.of_class import WHY, State
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import paired_difference, proportion
from audits.evidence.metric import Metric, Null

COLUMN_WORDS = {
    "images": "images that the model names so",
    "kept": "predictions that the concepts keep",
    "not_tried": "why the class was not tried",
    "concept": "concept, the most important first",
    "importance": "its share of the logit's variance",
    "low": "lower limit of this share",
    "high": "upper limit of this share",
    "transplant": "other images that turned into the class",
    "transplant_null": "the same with patches of other classes",
}
"""The columns of the tables, in words."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth")


class Screened(NamedTuple):
    """One concept of a class, as the first half of the data shows it."""

    label: int
    concept: int  # 0 is the most important
    rate: float  # share of other images that its patches turn into the class
    null: float  # the same with patches of other classes

    @property
    def lift(self) -> float:
        return self.rate - self.null


def declared() -> dict[str, Metric]:
    """The metrics of the check, not measured yet."""
    return {
        "transplant_lift": Metric(
            "other images that a patch of one concept turns into its class, beyond patches of "
            "other classes at the same places",
            better="lower",
            unit="difference",
            about_learning=True,
            clause="turns {} more of other images into one class if they get a patch of a concept "
            "of it than if they get patches of other classes",
        ),
        "transplant": Metric(
            "other images that a patch of the concept that stands out turns into its class",
            better="lower",
        ),
        "transplant_null": Metric(
            "the same images with patches of other classes at the same places", better=None
        ),
        "same_place": Metric(
            "images in which the concept that stands out is strongest at its commonest place",
            better=None,
        ),
        "kept": Metric(
            "predictions that the concepts of the class keep",
            null=Null("a dictionary drawn at random"),
        ),
        "tried": Metric("classes that could be tried", is_coverage=True),
    }


def state_of(part: Part) -> State:
    return State(int(part["state"]))


def screened(parts: Sequence[Part], labels: Sequence[int]) -> list[Screened]:
    """Every concept that was tried on the first half of the data; `labels` are the parts' own."""
    return [
        Screened(
            label,
            concept,
            float((part["read"][concept] == label).mean()),
            float((part["read_null"][concept] == label).mean()),
        )
        for part, label in zip(parts, labels, strict=True)
        if state_of(part) == State.TRIED
        for concept in range(len(part["read"]))
    ]


def measured(
    parts: Sequence[Part], chosen: Screened, common: int, answers: Part
) -> dict[str, Metric]:
    """The metrics with their figures; `common` is the concept's commonest place in the first half.

    The intervals of `transplant` are over the images that get a patch: the ten patches are given.
    """
    metrics = declared()
    turned, nulls = (answers[name] == chosen.label for name in ("read", "read_null"))
    kept, by_chance = (answers[name] == 1 for name in ("kept", "kept_null"))
    share = float(np.mean([state_of(part) == State.TRIED for part in parts]))
    estimates = {
        "transplant_lift": paired_difference(turned, nulls),
        "transplant": proportion(turned),
        "transplant_null": proportion(nulls),
        "same_place": proportion(answers["strongest"] == common),
        "tried": Estimate(share, share, share, len(parts)),  # of all classes, so it is exact
    }
    found = {name: metrics[name].measured(figure) for name, figure in estimates.items()}
    found["kept"] = metrics["kept"].measured(
        proportion(kept), proportion(by_chance), paired_difference(kept, by_chance)
    )
    return {name: found[name] for name in metrics}


def images_table(parts: Sequence[Part]) -> pd.DataFrame:
    """A row for each image of the first half that gave concepts, or could have."""
    names = ("index", "label", "predicted")
    frame = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in names})
    return frame.set_index("index").sort_index()


def classes_table(
    parts: Sequence[Part], labels: Sequence[int], classes: Sequence[str]
) -> pd.DataFrame:
    """A row for each class: its images, the predictions kept, and why it was not tried."""
    return pd.DataFrame(
        {
            "class": [classes[label] for label in labels],
            "images": [
                int((p["predicted"] == label).sum()) for p, label in zip(parts, labels, strict=True)
            ],
            "kept": [_share(part["kept"]) for part in parts],
            "not_tried": [WHY[state_of(part)] for part in parts],
        }
    )


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def concepts_table(
    parts: Sequence[Part], labels: Sequence[int], classes: Sequence[str]
) -> pd.DataFrame:
    """A row for each concept that was tried, the one that stands out first."""
    rows = sorted(screened(parts, labels), key=lambda one: -one.lift)
    ranked = {label: part["importance"] for part, label in zip(parts, labels, strict=True)}
    limits = {
        name: [float(ranked[one.label][one.concept, at]) for one in rows]
        for at, name in enumerate(("importance", "low", "high"))
    }
    return pd.DataFrame(
        {
            "class": [classes[one.label] for one in rows],
            "concept": [one.concept + 1 for one in rows],
            **limits,
            "transplant": [one.rate for one in rows],
            "transplant_null": [one.null for one in rows],
        }
    )


def sentence(
    classes: Sequence[str], chosen: Screened, parts: Sequence[Part], metrics: Mapping[str, Metric]
) -> str:
    """The meaning of the figures, in plain words."""
    name = repr(classes[chosen.label])
    rate, null, lift = (
        metrics[name].estimate for name in ("transplant", "transplant_null", "transplant_lift")
    )
    left = sum(state_of(part) != State.TRIED for part in parts)
    untried = f" {left} of {len(parts)} classes could not be tried." if left else ""
    return (
        f"A patch of the {_ORDINALS[chosen.concept]} concept of {name} turns {rate.value:.0%} of "
        f"{rate.n} other images into {name}; other patches there {null.value:.0%} (difference "
        f"{lift.value:.0%}, 95 % interval {lift.low:.0%} to {lift.high:.0%}). No concept stood out "
        f"more.{untried} A mark that the audit's images do not carry cannot be seen."
    )
