"""One condition -> its outcome. It fails closed: without a figure no condition passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audits.config.policy import Condition, Waiver
from audits.evidence.bounds import images_needed, tail_probability
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import TAIL
from audits.evidence.metric import Figure, Metric, named_figures

Outcome = Literal["passed", "failed", "not_judged", "says_nothing"]
Open = Literal["", "interval", "chance", "null", "coverage"]
_WORDS: dict[Outcome, str] = {
    "passed": "passed with ",
    "failed": "failed with ",
    "not_judged": "not judged, ",
    "says_nothing": "says nothing about this network, ",
}
_NO_CHANGE = 0.0005  # is told as 0.000


@dataclass(frozen=True)
class Judgement:
    """The outcome of one condition, with its figures or the reason."""

    condition: Condition
    outcome: Outcome
    finding: str
    waiver: Waiver | None = None  # that holds today, if the condition did not pass
    margin: float = math.nan  # from the worse end of the interval to the bound, if it passed
    chance: float = math.nan  # probability of a value as bad as this at the bound
    advice: str = ""  # "; with about 9 more images ...", if it is open or chance may explain it
    # Why a condition whose figure is known is not judged: the bound lies in the interval; chance
    # may explain a failure; the figure is no better than its null; too few images count.
    open_by: Open = ""

    @property
    def decides(self) -> bool:
        """Whether the condition passed or failed and is not waived."""
        return self.outcome in ("passed", "failed") and self.waiver is None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        waiver = self.waiver.model_dump(mode="json") if self.waiver else None
        return {
            "condition": str(self.condition),
            "outcome": self.outcome,
            "finding": self.finding,
            "waiver": waiver,
        }

    def __str__(self) -> str:
        word = _WORDS[self.outcome]
        waived = self.waiver
        told = f" (waived until {waived.until}: {waived.reason})" if waived else ""
        return f"{self.condition}: {word}{self.finding}{told}"


def judge(
    condition: Condition, min_coverage: float, evidence: Sequence[Evidence], conditions: int
) -> Judgement:
    """The judgement of one condition alone; `conditions` is the number of all.

    A drop says nothing about a network if neither it nor its baseline is better than the null: both
    figures are then what any network gives. A metric that guards another one says nothing if that
    is no better than its null. What passes needs coverage: at least `min_coverage`, or, for a drop,
    a coverage that is no lower than the baseline's by more than the same bound.
    """
    check, name = condition.judged_metric.split("/")
    found = next((e for e in evidence if e.check == check), None)

    def not_judged(why: str, open_by: Open = "") -> Judgement:
        return Judgement(condition, "not_judged", why, open_by=open_by)

    if found is None:
        return not_judged(f"the audit has no check {check!r}")
    if found.status != "ok":
        ended = "ended with an error" if found.status == "error" else "does not apply"
        return not_judged(f"{check} {ended}: {found.reason}")
    named = named_figures(found.metrics).get(name)
    estimate = named.estimate if named else None
    if named is not None and named.figure == "drop" and estimate is None:
        return not_judged("the figure was not paired with a baseline's, see the notes")
    if named is None or estimate is None:
        return not_judged(f"{check} has no such metric, it has {', '.join(found.estimates)}")
    if not estimate.finite:
        if not estimate.n:
            return not_judged("it was measured on no image")
        return not_judged(f"its value is {estimate.value} over {estimate.n} images")
    behind = found.metric_behind(named.metric)
    if named.figure == "drop" and (told := _both_no_better(found.metrics[behind])):
        return Judgement(condition, "says_nothing", told)
    guarded = found.metrics[named.metric].guards
    if guarded is not None and (told := _no_better(found.metrics[guarded])):
        return Judgement(condition, "says_nothing", f"{check}/{guarded} {told}")
    judgement = _compare(condition, named.figure, estimate, conditions)
    if judgement.outcome == "passed" and (told := _no_better(found.metrics[behind])):
        found_out = f"{judgement.finding} does not count: {check}/{behind} {told}"
        return not_judged(found_out, "null")
    coverage = found.coverage
    if judgement.outcome != "passed" or coverage is None or guarded is not None:
        return judgement
    if named.figure == "drop" and _no_less(coverage, condition.bound):
        return judgement
    if not (coverage.estimate.finite and coverage.estimate.low >= min_coverage):
        return not_judged(
            f"coverage {coverage.estimate} may be below {min_coverage:g}: too few are the "
            f"{coverage.title}",
            "coverage",
        )
    return judgement


def _no_less(coverage: Metric, most: float) -> bool:
    """Whether as many images count as with the baseline, but for a share of `most`.

    A drop is of all images, so that few of them say as much about the one as about the other.
    """
    drop = coverage.drop
    return drop is not None and drop.finite and drop.high <= most


def _no_better(metric: Metric) -> str:
    """Why a metric may be no better than its null; empty if it is better or has no null."""
    if metric.null is None or (metric.lift is not None and metric.lift.low > 0):
        return ""
    return f"is no better than its null, {metric.null.title}: the lift is {metric.lift}"


def _both_no_better(metric: Metric) -> str:
    """Why neither the model nor its baseline is better than the null; empty if one of them is."""
    own, other = metric.lift, metric.baseline_lift
    if metric.null is None or own is None or other is None or not (own.finite and other.finite):
        return ""
    if own.low > 0 or other.low > 0:
        return ""
    return (
        f"neither it nor the baseline is better than the null, {metric.null.title}: the lifts are "
        f"{own} and {other}"
    )


def _compare(
    condition: Condition, figure: Figure, estimate: Estimate, conditions: int
) -> Judgement:
    improved = figure == "drop" and estimate.value < -_NO_CHANGE
    shown = f"{estimate} (an improvement)" if improved else str(estimate)
    bound = condition.bound
    if condition.from_above:
        margin, failed = bound - estimate.high, estimate.low > bound
        passing = estimate.value < bound
    else:
        margin, failed = estimate.low - bound, estimate.high < bound
        passing = estimate.value > bound
    tail = tail_probability(estimate, bound)
    chance = 1 - tail if passing else tail
    if margin >= 0:
        return Judgement(condition, "passed", shown, margin=margin, chance=chance)
    # A condition passes alone; to fail as one of several takes more.
    needed = images_needed(estimate, bound, TAIL if passing else TAIL / conditions)
    if needed is None:
        advice = "; no number of images would settle it"
    else:
        word = "failed" if needed.above == condition.from_above else "passed"
        more = max(needed.images - estimate.n, 1)
        advice = f"; with about {more} more images it would be {word} in 80 % of cases"
    if failed:
        return Judgement(condition, "failed", shown, chance=chance, advice=advice)
    finding = f"{shown} straddles the bound{advice}"
    return Judgement(
        condition, "not_judged", finding, chance=chance, advice=advice, open_by="interval"
    )
