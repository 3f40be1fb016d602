"""The figures of `swap`: which class stands out, and how far when it is looked at again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from audits.checks._swap.trial import Piece
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import (
    bounded_mean,
    difference,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import DefaultBounds, Metric, Pairing

_NULLS = {"patch": "a random patch of the same images", "colour": "the colour of other classes"}


COLUMN_WORDS = {
    "patch_size": "pixels of the patch",
    "donors": "pieces tried",
    "rate": "other images that turned into the class",
    "random_rate": "the same with the null",
}
"""The columns of the table of classes, in words."""

# Chosen after networks with and without marks were tried, see docs/truth.md. A colour that is
# typical of a class, as blue is of ships, turns images too: no default policy judges colours.
_BOUNDS = {"patch": DefaultBounds(max=0.2), "colour": None}


class Screened(NamedTuple):
    """One class and size, as the first half of the data shows it."""

    label: int
    size: int
    rate: float  # share of other images that turned into the class
    random: float  # the same with the null

    @property
    def lift(self) -> float:
        return self.rate - self.random


class Again(NamedTuple):
    """The class that stands out, and the draws that look at it again."""

    chosen: Screened
    donors: np.ndarray  # indices, int64 (n,)
    tries: int  # images into which each donor's piece is put


def declared(what: Piece) -> dict[str, Metric]:
    """The metrics of the check, not measured yet."""
    null = _NULLS[what]
    metrics = {
        "lift": Metric(
            f"other images that turn into the class that stands out, beyond {null}",
            better="lower",
            unit="difference",
            about_learning=True,
            bounds=_BOUNDS[what],
            clause="turns {} more of other images into one class than " + null + " does",
        ),
        "rate": Metric("other images that turn into the class that stands out", better="lower"),
        "random_rate": Metric(f"the same images with {null}", better=None),
        "excess": Metric(
            "other images that turn into the class that stands out, beyond the median class",
            better="lower",
            unit="difference",
        ),
        "mean_rate": Metric(
            "other images that turn into the class of the piece, over all classes",
            better="lower",
            pairing=Pairing("turned", "mean"),
        ),
        "tried": Metric("classes that could be tried", is_coverage=True),
    }
    if what == "patch":
        metrics["place_share"] = Metric(
            "pieces that turned an image and come from the commonest place", better=None
        )
    return metrics


def screened(parts: Sequence[Part]) -> list[Screened]:
    """Every class and size for which the first half has images of other classes."""
    return [
        Screened(
            int(part["label"][0]),
            int(part["size"]),
            float(_turned(part).mean()),
            float((part["read_random"] == part["label"]).mean()),
        )
        for part in parts
        if _is_tried(part)
    ]


def _turned(part: Part) -> np.ndarray:
    hits: np.ndarray = part["read"] == part["label"]
    return hits


def _is_tried(part: Part) -> bool:
    return bool((part["recipient"] >= 0).all())


def measured(what: Piece, parts: Sequence[Part], again: Again, answers: Part) -> dict[str, Metric]:
    """The metrics with their figures."""
    metrics, table = declared(what), donors_table(parts)
    label = again.chosen.label
    turned, nulls = answers["read"] == label, answers["read_random"] == label
    rate, random, lift = _second_look(turned, nulls, again.tries)
    classes = {int(part["label"][0]) for part in parts}
    share = len({one.label for one in screened(parts)}) / len(classes)
    estimates = {
        "lift": lift,
        "rate": rate,
        "random_rate": random,
        "excess": _excess(parts, again.chosen, rate),
        "mean_rate": bounded_mean(table["turned"].to_numpy()),
        "tried": Estimate(share, share, share, len(classes)),  # of all classes, so it is exact
    }
    if what == "patch":
        estimates["place_share"] = _place_share(answers["place"][turned])
    return {name: metrics[name].measured(estimate) for name, estimate in estimates.items()}


def _second_look(
    turned: np.ndarray, random: np.ndarray, tries: int
) -> tuple[Estimate, Estimate, Estimate]:
    """Rate, that of the null, and the first minus the second; the intervals are over donors."""
    if tries == 1:
        return proportion(turned), proportion(random), paired_difference(turned, random)
    # Images with pieces of one donor are alike, so each donor counts once.
    shares, nulls = (hits.reshape(-1, tries).mean(1) for hits in (turned, random))
    return bounded_mean(shares), bounded_mean(nulls), paired_mean_difference(shares, nulls)


def _excess(parts: Sequence[Part], chosen: Screened, rate: Estimate) -> Estimate:
    """The rate minus that of the median of the other classes, which the first half has."""
    others = [
        _turned(part)
        for part in parts
        if _is_tried(part) and part["size"] == chosen.size and part["label"][0] != chosen.label
    ]
    if not others:
        return UNMEASURED
    others.sort(key=lambda turned: float(turned.mean()))
    return difference(rate, proportion(others[len(others) // 2]))


def _place_share(places: np.ndarray) -> Estimate:
    """The share of the commonest of `places`, int64 (n, 2), of the pieces that turned an image."""
    _, which, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    if not len(counts):
        return UNMEASURED
    return proportion(which.reshape(-1) == counts.argmax())


def donors_table(parts: Sequence[Part]) -> pd.DataFrame:
    """A row for each donor of the first half: the share of sizes whose piece turned an image."""
    names = ("index", "label", "read", "read_random")
    frame = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in names})
    turned = {name: (frame[name] == frame["label"]).astype(float) for name in names[2:]}
    frame = frame.assign(turned=turned["read"], turned_random=turned["read_random"])
    return (
        frame.groupby("index")
        .agg({"label": "first", "turned": "mean", "turned_random": "mean"})
        .sort_index()
    )


def screened_table(parts: Sequence[Part], classes: Sequence[str]) -> pd.DataFrame:
    """A row for each class and size, the one that stands out first."""
    rows = sorted(screened(parts), key=lambda one: -one.lift)
    counts = {(int(p["label"][0]), int(p["size"])): len(p["index"]) for p in parts}
    return pd.DataFrame(
        {
            "class": [classes[one.label] for one in rows],
            "patch_size": [one.size for one in rows],
            "donors": [counts[one.label, one.size] for one in rows],
            "rate": [one.rate for one in rows],
            "random_rate": [one.random for one in rows],
        }
    )


def sentence(
    what: Piece,
    classes: Sequence[str],
    again: Again,
    answers: Part,
    metrics: Mapping[str, Metric],
) -> str:
    """The meaning of the figures, in plain words."""
    name, size = classes[again.chosen.label], again.chosen.size
    count = len(answers["read"])
    turned, random = (
        int((answers[column] == again.chosen.label).sum()) for column in ("read", "read_random")
    )
    if what == "patch":
        piece, null = f"Pasting one {size}x{size} patch of {name!r}", "random patches"
    else:
        piece, null = f"Giving the mean colour of {name!r}", "the colours of other classes"
    lift = metrics["lift"].estimate
    return (
        f"{piece} turns {turned} of {count} other images into {name!r} ({null}: {random}; "
        f"difference {lift.value:.0%}, 95 % interval {lift.low:.0%} to {lift.high:.0%}). No class "
        "stood out more. A mark that the audit's images do not carry cannot be seen."
    )
