"""Conditions on metrics -> verdict. It fails closed: what was not shown has not passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from audits.evidence import Evidence
from audits.statistics import Estimate, images_needed
from audits.strict import Share, Strict

Outcome = Literal["passed", "failed", "not_judged"]
Word = Literal["passed", "failed", "undecided"]
_LIFT = "accuracy_lift"


class Condition(Strict):
    """One bound on one metric, `<check>/<metric>`; exactly one of `min`, `max`, `min_lift`."""

    metric: str = Field(pattern=r"^[^/]+/[^/]+$")
    min: float | None = None
    max: float | None = None
    min_lift: float | None = Field(
        default=None, description="bound on the metric's lift over its null, <metric>_lift"
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(b is not None for b in (self.min, self.max, self.min_lift)) != 1:
            raise ValueError(f"expected exactly one of min, max, min_lift for {self.metric!r}")
        return self

    @property
    def judged_metric(self) -> str:
        return self.metric if self.min_lift is None else f"{self.metric}_lift"

    @property
    def bound(self) -> float:
        return next(b for b in (self.min, self.max, self.min_lift) if b is not None)

    def __str__(self) -> str:
        return f"{self.judged_metric} {'<=' if self.max is not None else '>='} {self.bound:g}"


class Policy(Strict):
    """When a model may go out: every condition passes, each on the worse end of its interval."""

    conditions: tuple[Condition, ...] = ()
    min_coverage: Share = Field(
        default=0.5, description="least share of images a check must cover for its metrics to count"
    )


@dataclass(frozen=True)
class Judgement:
    """What became of one condition, and the figures or the reason behind it."""

    condition: Condition
    outcome: Outcome
    finding: str

    def __str__(self) -> str:
        word = "not judged, " if self.outcome == "not_judged" else f"{self.outcome} with "
        return f"{self.condition}: {word}{self.finding}"


@dataclass(frozen=True)
class Verdict:
    """The answer, its reason in one line, and every condition's outcome."""

    word: Word
    reason: str
    judgements: tuple[Judgement, ...] = ()


def decide(policy: Policy, evidence: Sequence[Evidence]) -> Verdict:
    """`failed` if a condition failed; `passed` only if there are conditions and all passed.

    Anything else is `undecided`, also when a check outside the policy ended with an error: an audit
    that did not finish does not pass.
    """
    judgements = tuple(_judge(c, policy.min_coverage, evidence) for c in policy.conditions)
    failed = [j for j in judgements if j.outcome == "failed"]
    open_ = [j for j in judgements if j.outcome == "not_judged"]
    errors = [e for e in evidence if e.status == "error"]
    if failed:
        return Verdict("failed", _sentence(failed), judgements)
    if open_:
        return Verdict("undecided", _sentence(open_), judgements)
    if errors:
        reason = f"{errors[0].check} did not finish: {errors[0].reason}"
        return Verdict("undecided", reason, judgements)
    if not judgements:
        return Verdict("undecided", "The policy has no condition; add some under policy.")
    count = len(judgements)
    reason = f"All {count} conditions hold." if count > 1 else str(judgements[0])
    return Verdict("passed", reason, judgements)


def _sentence(judgements: Sequence[Judgement]) -> str:
    return "; ".join(str(j) for j in judgements)


def _judge(condition: Condition, min_coverage: float, evidence: Sequence[Evidence]) -> Judgement:
    check, metric = condition.judged_metric.split("/")
    found = next((e for e in evidence if e.check == check), None)

    def not_judged(why: str) -> Judgement:
        return Judgement(condition, "not_judged", why)

    if found is None:
        return not_judged(f"the audit has no check {check!r}")
    if found.status != "ok":
        ended = "ended with an error" if found.status == "error" else "does not apply"
        return not_judged(f"{check} {ended}: {found.reason}")
    estimate = found.metrics.get(metric)
    if estimate is None:
        return not_judged(f"{check} has no such metric, it has {', '.join(found.metrics)}")
    if not estimate.finite:
        return not_judged(f"its value is {estimate.value} over {estimate.n} images")
    judgement = _compare(condition, estimate)
    lift = _lift(metric, found)
    if judgement.outcome == "passed" and lift is not None and not lift.low > 0:
        return not_judged(
            f"{judgement.finding} is no better than its null: the lift is {lift.value:.3f} "
            f"[{lift.low:.3f}, {lift.high:.3f}]"
        )
    coverage = found.metrics.get("coverage")
    if judgement.outcome != "passed" or coverage is None:
        return judgement
    if not (coverage.finite and coverage.low >= min_coverage):
        return not_judged(
            f"coverage {coverage.value:.3f} [{coverage.low:.3f}, {coverage.high:.3f}] may be below "
            f"{min_coverage:g}: for too few images does the "
            "model see the right class in the masked image"
        )
    return judgement


def _lift(metric: str, evidence: Evidence) -> Estimate | None:
    """The lift of the accuracy that a metric belongs to, as prototype_f1_macro does to prototype_.

    Nothing that is said of a fill counts where the fill is no better than its null: F1 and
    agreement can be high there, where most images are of one class.
    """
    prefixes = [
        name.removesuffix(_LIFT)
        for name in evidence.metrics
        if name.endswith(_LIFT) and metric.startswith(name.removesuffix(_LIFT))
    ]
    return evidence.metrics[f"{max(prefixes, key=len)}{_LIFT}"] if prefixes else None


def _compare(condition: Condition, estimate: Estimate) -> Judgement:
    shown = f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
    bound = condition.bound
    if condition.max is not None:
        passed, failed = estimate.high <= bound, estimate.low > bound
    else:
        passed, failed = estimate.low >= bound, estimate.high < bound
    if passed or failed:
        return Judgement(condition, "passed" if passed else "failed", shown)
    needed = images_needed(estimate, bound)
    if needed is None:
        advice = "no number of images would settle it"
    else:
        advice = f"about {max(needed - estimate.n, 1)} more images would settle it"
    return Judgement(condition, "not_judged", f"{shown} straddles the bound; {advice}")
