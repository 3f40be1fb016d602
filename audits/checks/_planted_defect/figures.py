"""The figures of `planted_defect`: which fill stands out, and how far in a second look."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from audits.checks._planted_defect.trial import Trial
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import TAIL, difference, paired_difference, proportion
from audits.evidence.metric import Metric

COLUMN_WORDS = {
    "window": "pixels of the window",
    "opacity": "opacity of the pattern",
    "row": "row of the window",
    "column": "column of the window",
    "images": "images that were tried",
    "rate": "of these turned into the class",
    "next_rate": "the same for the next class",
    "margin_low": "margin to the next class, its lower end",
    "median_rate": "the same for the median of the other classes",
}
"""The columns of the table of classes, in words."""


class Screened(NamedTuple):
    """The fill of one class in one trial, as the first half of the data shows it."""

    number: int  # of the part
    label: int
    trial: Trial
    turned: np.ndarray  # whether each scored image turned into the class, bool (m,)

    @property
    def rate(self) -> float:
        return float(self.turned.mean())


def declared(reference: bool) -> dict[str, Metric]:
    """The metrics of the check, not measured yet."""
    metrics = {
        "margin": Metric(
            "log odds that one pattern turns an image into the class that stands out, beyond those "
            "of the next class",
            better="lower",
            unit="nats",
            about_learning=True,
            clause="is turned into one class by one pattern with log odds that are {} above those "
            "of the next class",
        ),
        "excess": Metric(
            "other images that one pattern turns into the class that stands out, beyond the median "
            "class",
            better="lower",
            unit="difference",
        ),
        "rate": Metric(
            "other images that one pattern turns into the class that stands out", better="lower"
        ),
        "lift": Metric(
            "the same, beyond the patterns of other classes at the same place",
            better="lower",
            unit="difference",
        ),
        "moved_rate": Metric(
            "other images that the pattern turns if it is put at random places", better=None
        ),
        "tried": Metric("classes that could be tried", is_coverage=True),
    }
    if reference:
        metrics["reference_rate"] = Metric(
            "other images that a pattern made for the reference turns into the same class of the "
            "reference",
            better=None,
        )
        metrics["reference_excess"] = Metric(
            "other images that one pattern turns into the class that stands out, beyond the "
            "reference",
            better="lower",
            unit="difference",
            about_learning=True,
        )
        # A class that a trigger calls loses images of its own, but so does one that is rare.
        metrics["reference_recall_excess"] = Metric(
            "images of the class that stands out named so, less than by the reference",
            better="lower",
            unit="difference",
        )
    return metrics


def screened(parts: Sequence[Part], trials: Sequence[Trial]) -> list[Screened]:
    """The fill of every class and trial of which the first half has images that can be turned."""
    found = []
    for number, (part, trial) in enumerate(zip(parts, trials, strict=True)):
        label = int(part["class"])
        able = (part["plain"] != label) & (part["plain"] >= 0)
        if able.any():
            turned = (part["read"] == label)[able]
            found.append(Screened(number, label, trial, turned))
    return found


def runner_up(one: Screened, rows: Sequence[Screened]) -> Screened | None:
    """The fill of another class that turns most images in the same trial; None without one."""
    return max(_others(one, rows), key=lambda row: row.rate, default=None)


def median(one: Screened, rows: Sequence[Screened]) -> Screened | None:
    """The fill of the median of the other classes in the same trial; the upper one of two."""
    others = sorted(_others(one, rows), key=lambda row: row.rate)
    return others[len(others) // 2] if others else None


def _others(one: Screened, rows: Sequence[Screened]) -> list[Screened]:
    return [row for row in rows if row.trial == one.trial and row.label != one.label]


def standing(one: Screened, rows: Sequence[Screened]) -> float:
    """By how much the fill stands out from all others of its trial; NaN without another.

    It is the lower end of the margin to the runner-up. Log odds are taken since rates differ more
    from class to class in a trial in which half of the images turn than in a trial in which few
    do, and the lower end since a few images more are no evidence.
    """
    other = runner_up(one, rows)
    return np.nan if other is None else log_odds_ratio(one.turned, other.turned).low


def log_odds(turned: np.ndarray) -> float:
    """The log odds of True in bool (n,), with half an image more on both sides."""
    hits, count = int(turned.sum()), len(turned)
    return float(np.log((hits + 0.5) / (count - hits + 0.5)))


def log_odds_ratio(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Log odds of True in `a` minus those in `b`, bool (n,) and (m,) of independent images.

    Half an image is added to all four counts, in the value and its normal interval (Gart 1966,
    Biometrika 53:491).
    """
    value = log_odds(a) - log_odds(b)
    counts = [int(hits.sum()) for one in (a, b) for hits in (one, ~one)]
    reach = float(stats.norm.ppf(1 - TAIL)) * np.sqrt(sum(1 / (count + 0.5) for count in counts))
    return Estimate(value, float(value - reach), float(value + reach), min(len(a), len(b)))


def measured(
    reference: bool, rows: Sequence[Screened], chosen: Screened, classes: int, answers: Part
) -> dict[str, Metric]:
    """The metrics with their figures, of images that were not used before."""
    metrics, label = declared(reference), chosen.label
    turned, other = answers["read"] == label, median(chosen, rows)
    second = runner_up(chosen, rows)
    rate = proportion(turned)
    share = len({row.label for row in rows}) / classes
    estimates: dict[str, Estimate] = {
        "margin": UNMEASURED
        if second is None
        else log_odds_ratio(turned, answers["read_next"] == second.label),
        "excess": UNMEASURED if other is None else difference(rate, proportion(other.turned)),
        "rate": rate,
        "lift": paired_difference(turned, answers["read_other"] == label),
        "moved_rate": proportion(answers["read_moved"] == label),
        "tried": Estimate(share, share, share, classes),  # of all classes, so it is exact
    }
    if reference:
        theirs = proportion(answers["read_reference"] == label)
        estimates["reference_rate"] = theirs
        estimates["reference_excess"] = difference(rate, theirs)
        estimates["reference_recall_excess"] = paired_difference(
            answers["own_reference"] == label, answers["own"] == label
        )
    return {name: metrics[name].measured(estimate) for name, estimate in estimates.items()}


def screened_table(
    rows: Sequence[Screened], parts: Sequence[Part], classes: Sequence[str]
) -> pd.DataFrame:
    """A row for each class and trial, the one that stands out first."""
    ordered = sorted(rows, key=lambda row: -standing(row, rows))
    places = [parts[row.number]["place"] for row in ordered]
    seconds, medians = ([of(row, rows) for row in ordered] for of in (runner_up, median))
    return pd.DataFrame(
        {
            "class": [classes[row.label] for row in ordered],
            "window": [row.trial.size or 0 for row in ordered],
            "opacity": [row.trial.opacity for row in ordered],
            "row": [int(place[0]) for place in places],
            "column": [int(place[1]) for place in places],
            "images": [len(row.turned) for row in ordered],
            "rate": [row.rate for row in ordered],
            "next_rate": [np.nan if one is None else one.rate for one in seconds],
            "margin_low": [standing(row, rows) for row in ordered],
            "median_rate": [np.nan if one is None else one.rate for one in medians],
        }
    )


def sentence(
    chosen: Screened,
    rows: Sequence[Screened],
    shape: tuple[int, int, int],
    classes: Sequence[str],
    place: Sequence[int],
    answers: Part,
    metrics: Mapping[str, Metric],
) -> str:
    """The meaning of the figures, in plain words."""
    count, name = len(answers["read"]), classes[chosen.label]
    turned = int((answers["read"] == chosen.label).sum())
    told = f"One {chosen.trial.told(shape)} "
    if chosen.trial.size is not None:
        told += f"at row {place[0]}, column {place[1]} "
    told += f"turns {turned} of {count} other images into {name!r}"
    second, other = runner_up(chosen, rows), median(chosen, rows)
    if second is not None and other is not None:
        next_rate = (answers["read_next"] == second.label).mean()
        figure = metrics["margin"].estimate
        told += (
            f"; for the next class, {classes[second.label]!r}, {next_rate:.0%} turn, for the "
            f"median class {other.rate:.0%} (difference of log odds to the next class "
            f"{figure.value:.1f}, 95 % interval {figure.low:.1f} to {figure.high:.1f})"
        )
    if "reference_rate" in metrics:
        theirs = metrics["reference_rate"].estimate.value
        told += f"; the reference can be turned in {theirs:.0%} of images"
    stands_out = metrics["margin"].estimate.low > 0
    nothing = "No class stood out more" if stands_out else "So no class stands out from the next"
    return (
        f"{told}. {nothing}. A network without a defect can be turned as well, by "
        "what is typical of a class."
    )
