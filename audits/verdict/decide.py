"""Conditions on metrics -> verdict. It fails closed: without evidence no condition passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from audits.checks.base import Check
from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.bounds import holm, images_needed, tail_probability
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import TAIL
from audits.evidence.metric import Figure, Metric, named_figures
from audits.verdict.coverage import not_covered

NO_CONDITION = "The policy has no condition; add some under policy."
_NO_CHANGE = 0.0005  # is told as 0.000
Outcome = Literal["passed", "failed", "not_judged"]
Word = Literal["passed", "failed", "undecided"]
Open = Literal["", "interval", "chance", "null", "coverage"]


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
        return self.outcome != "not_judged" and self.waiver is None

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
        word = "not judged, " if self.outcome == "not_judged" else f"{self.outcome} with "
        waived = self.waiver
        told = f" (waived until {waived.until}: {waived.reason})" if waived else ""
        return f"{self.condition}: {word}{self.finding}{told}"


@dataclass(frozen=True)
class Verdict:
    """One word, its reason in one line, and the outcome of every condition."""

    word: Word
    reason: str
    judgements: tuple[Judgement, ...] = ()
    not_covered: str = ""  # of a `passed`: that what the model has learnt was not judged, and why
    deciding: tuple[Judgement, ...] = ()  # those behind the word; empty if something else decided

    @property
    def told(self) -> str:
        """The word for people; of a `passed` also whether it covers only a part."""
        return told(self.word, self.not_covered)

    @property
    def decider(self) -> str:
        """The first of the conditions that decided, or the closest one of those that all passed.

        In words, with the number of the others; the reason if no condition decided.
        """
        if not self.deciding:
            return self.reason
        if self.word == "passed":
            return str(min(self.deciding, key=lambda judgement: judgement.margin))
        more = len(self.deciding) - 1
        return f"{self.deciding[0]}{f'; and {more} more' if more else ''}"


def told(word: str, not_covered: str | None) -> str:
    """The word of a verdict for people; of a `passed` also whether it covers only a part."""
    return f"{word}, in part" if word == "passed" and not_covered else word


def decide(
    policy: Policy,
    evidence: Sequence[Evidence],
    today: date,
    questions: Sequence[str] = (),
    skipped: Sequence[str] = (),
    checks: Sequence[Check] | None = None,
    doubts: Sequence[str] = (),
) -> Verdict:
    """`failed` if a condition failed; `passed` only if there are conditions and all passed.

    Anything else is `undecided`. So is an audit in which a check outside the policy ended with an
    error. A condition that is waived on the day `today` does not decide, but at least one other
    condition must pass.

    With open questions about the model's input, those given and those of the evidence, the figures
    may be about a model that nobody has: then the verdict is `undecided`, whatever they are.

    `doubts` are sentences that say why the model must not pass: nothing but a failure stands above
    them.

    `skipped` are sentences about images that were left out; they stand behind every reason.

    `checks` are those of the config. If no condition that decides is on a metric of what the model
    has learnt, a `passed` says so; None asks nothing.

    Each condition passes on its own 95 % interval. A policy fails if any condition fails, and some
    of many conditions fails by chance more often than a single one (seven at their bounds: 16 % of
    the time). So a condition counts as failed only if Holm's procedure over all conditions that are
    not waived rejects it at 2.5 %; else it is not judged.
    """
    verdict = _decided(policy, evidence, today, questions, doubts)
    if checks is not None and verdict.word == "passed":
        judged = [j.condition for j in verdict.judgements if j.decides]
        if gap := not_covered(judged, evidence, checks):
            verdict = replace(verdict, reason=f"{gap} {verdict.reason}", not_covered=gap)
    if not skipped:
        return verdict
    return replace(verdict, reason=f"{verdict.reason.rstrip('.')}. {' '.join(skipped)}")


def _decided(
    policy: Policy,
    evidence: Sequence[Evidence],
    today: date,
    questions: Sequence[str],
    doubts: Sequence[str],
) -> Verdict:
    alone = [_judged(c, policy, evidence, today) for c in policy.conditions]
    judgements = _among_all(alone)
    counted = [j for j in judgements if j.waiver is None]
    failed = [j for j in counted if j.outcome == "failed"]
    open_ = [j for j in counted if j.outcome == "not_judged"]
    errors = [e for e in evidence if e.status == "error"]
    waived = [j for j in judgements if j.waiver is not None]
    also = f". Waived: {_sentence(waived)}" if waived else ""
    asked = [*questions, *(question for one in evidence for question in one.questions)]
    if asked:
        return Verdict("undecided", " ".join(asked), judgements)
    if failed:
        return Verdict("failed", _sentence(failed) + also, judgements, deciding=tuple(failed))
    if doubts:
        return Verdict("undecided", " ".join(doubts), judgements)
    if open_:
        return Verdict("undecided", _sentence(open_) + also, judgements, deciding=tuple(open_))
    if errors:
        reason = f"{errors[0].check} did not finish: {errors[0].reason}"
        return Verdict("undecided", reason, judgements)
    if not judgements:
        return Verdict("undecided", NO_CONDITION)
    if not counted:
        return Verdict("undecided", "Every condition is waived, so none decides.", judgements)
    closest = min(counted, key=lambda judgement: judgement.margin)
    held = f"All {len(counted)} conditions hold; closest is " if len(counted) > 1 else ""
    held += str(closest)
    return Verdict("passed", held + also, judgements, deciding=tuple(counted))


def _judged(
    condition: Condition, policy: Policy, evidence: Sequence[Evidence], today: date
) -> Judgement:
    count = len(policy.conditions)
    judgement = _judge(condition, policy.min_coverage, evidence, count)
    waiver = policy.waiver(condition)
    if waiver is None or judgement.outcome == "passed":
        return judgement
    if waiver.holds(today):
        return replace(judgement, waiver=waiver)
    return replace(judgement, finding=f"{judgement.finding}; its waiver ended on {waiver.until}")


def _among_all(alone: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """The judgements together: a failure that chance may explain (Holm) becomes not judged."""
    counted = [judgement for judgement in alone if judgement.waiver is None]
    rejected = iter(holm([judgement.chance for judgement in counted], TAIL))
    return tuple(
        judgement
        if judgement.waiver is not None
        else _among(judgement, len(counted), clear=next(rejected))
        for judgement in alone
    )


def _among(judgement: Judgement, conditions: int, *, clear: bool) -> Judgement:
    if judgement.outcome != "failed" or clear or conditions == 1:
        return judgement
    finding = (
        f"{judgement.finding} fails alone, but as one of {conditions} conditions it may fail "
        f"by chance (Holm){judgement.advice}"
    )
    return replace(judgement, outcome="not_judged", finding=finding, open_by="chance")


def _sentence(judgements: Sequence[Judgement]) -> str:
    return "; ".join(str(j) for j in judgements)


def _judge(
    condition: Condition, min_coverage: float, evidence: Sequence[Evidence], conditions: int
) -> Judgement:
    """The judgement of one condition alone; `conditions` is the number of all."""
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
        return not_judged(f"its value is {estimate.value} over {estimate.n} images")
    judgement = _compare(condition, named.figure, estimate, conditions)
    behind = found.metric_behind(named.metric)
    if judgement.outcome == "passed" and (told := _no_better(found.metrics[behind])):
        found_out = f"{judgement.finding} does not count: {check}/{behind} {told}"
        return not_judged(found_out, "null")
    coverage = found.coverage
    if judgement.outcome != "passed" or coverage is None:
        return judgement
    if not (coverage.estimate.finite and coverage.estimate.low >= min_coverage):
        return not_judged(
            f"coverage {coverage.estimate} may be below {min_coverage:g}: too few are the "
            f"{coverage.title}",
            "coverage",
        )
    return judgement


def _no_better(metric: Metric) -> str:
    """Why a metric may be no better than its null; empty if it is better or has no null."""
    if metric.null is None or (metric.lift is not None and metric.lift.low > 0):
        return ""
    return f"is no better than its null, {metric.null.title}: the lift is {metric.lift}"


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
