"""Conditions on metrics -> verdict. It fails closed: without evidence no condition passes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from audits.checks.base import Check
from audits.config.policy import Condition, Policy
from audits.evidence.bounds import holm
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import TAIL
from audits.verdict.coverage import not_covered
from audits.verdict.judgement import Judgement, judge
from audits.verdict.words import Word, told

NO_CONDITION = "The policy has no condition; add some under policy."


@dataclass(frozen=True)
class Verdict:
    """One word, its reason in one line, and the outcome of every condition."""

    word: Word
    reason: str
    judgements: tuple[Judgement, ...] = ()
    not_covered: str = ""  # of a `passed`: sentences that say what it does not cover, and why
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


def decide(
    policy: Policy,
    evidence: Sequence[Evidence],
    today: date,
    questions: Sequence[str] = (),
    skipped: Sequence[str] = (),
    checks: Sequence[Check] | None = None,
    doubts: Sequence[str] = (),
    baseline: Sequence[Evidence] = (),
) -> Verdict:
    """`failed` if a condition failed; `passed` only if there are conditions and all passed.

    Conditions that say nothing about the network (see `judge`) do not decide, and the reason names
    them. Anything else is `undecided`. So is an audit in which a check outside the policy ended
    with an error. A condition that is waived on the day `today` does not decide. At least one
    condition must pass.

    With open questions about the model's input, those given and those of the evidence, the figures
    may be about a model that nobody has: then the verdict is `undecided`, whatever they are.

    `doubts` are sentences that say why the model must not pass: nothing but a failure stands above
    them.

    `skipped` are sentences about images that were left out; they stand behind every reason.

    `checks` are those of the config. If no condition that decides is on a metric of what the model
    has learnt, a `passed` says so; None asks nothing. So it does if a condition compares with a
    baseline that itself fails; `baseline` is the evidence about it.

    Each condition passes on its own 95 % interval. A policy fails if any condition fails, and some
    of many conditions fails by chance more often than a single one (seven at their bounds: 16 % of
    the time). So a condition counts as failed only if Holm's procedure over all conditions that are
    not waived rejects it at 2.5 %; else it is not judged.
    """
    verdict = _decided(policy, evidence, today, questions, doubts)
    if verdict.word == "passed":
        judged = [j.condition for j in verdict.judgements if j.decides]
        learnt = not_covered(judged, evidence, checks) if checks is not None else ""
        gap = " ".join(filter(None, (learnt, _beside(baseline, policy, today))))
        if gap:
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
    silent = [j for j in counted if j.outcome == "says_nothing"]
    passed = [j for j in counted if j.outcome == "passed"]
    errors = [e for e in evidence if e.status == "error"]
    waived = [j for j in judgements if j.waiver is not None]
    also = f". Waived: {_sentence(waived)}" if waived else ""
    also += f". {_silence(silent)}" if silent else ""
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
    if not passed:
        return Verdict("undecided", f"No condition decides{also}", judgements)
    closest = min(passed, key=lambda judgement: judgement.margin)
    held = f"All {len(passed)} conditions hold; closest is " if len(passed) > 1 else ""
    if silent:
        held = held.replace("conditions hold", "conditions that decide hold")
    held += str(closest)
    return Verdict("passed", held + also, judgements, deciding=tuple(passed))


def _beside(baseline: Sequence[Evidence], policy: Policy, today: date) -> str:
    """A sentence if conditions compare with a baseline that itself fails; else empty."""
    if policy.alone == policy:
        return ""
    alone = _decided(policy.alone, baseline, today, (), ())
    if alone.word != "failed":
        return ""
    return (
        f"The baseline itself fails ({_sentence(alone.deciding)}), so that to be no worse says "
        "little."
    )


def _silence(silent: Sequence[Judgement]) -> str:
    """Which conditions do not decide, since their figures are no better than a null."""
    names = ", ".join(judgement.condition.judged_metric for judgement in silent)
    verb = "says" if len(silent) == 1 else "say"
    return f"{names} {verb} nothing about this network, which is no better than the null there"


def _judged(
    condition: Condition, policy: Policy, evidence: Sequence[Evidence], today: date
) -> Judgement:
    count = len(policy.conditions)
    judgement = judge(condition, policy.min_coverage, evidence, count)
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
