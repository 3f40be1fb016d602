"""The reasons of a verdict as a list: the conditions that decided, and those that are waived."""

from typing import NamedTuple

from audits.report.answer import Answer, Row
from audits.verdict.decide import Verdict


class Reason(NamedTuple):
    """One condition behind a verdict, in words; `recorded` is its line in tags and commands."""

    title: str
    outcome: str  # "failed", "not_judged", "waived", "says_nothing" or "passed"
    told: str
    facts: tuple[str, ...]
    recorded: str


class Reasons(NamedTuple):
    """The conditions behind a verdict, and how many others passed."""

    listed: tuple[Reason, ...]
    passed: int  # conditions that passed; of a passed verdict the closest of them is listed


def reasons(verdict: Verdict, found: Answer) -> Reasons:
    """Each condition that decided or is waived; of those that all passed, the closest."""
    shown = [row for row in found.rows if row.outcome != "passed"]
    passed = [row for row in found.rows if row.outcome == "passed"]
    if verdict.word == "passed" and passed:
        shown.insert(0, min(passed, key=lambda row: row.judgement.margin))
    return Reasons(tuple(map(_reason, shown)), len(passed))


def _reason(row: Row) -> Reason:
    judgement, facts = row.judgement, [f"needed: {row.needs}"]
    if row.estimate is None:
        facts.append(f"not measured: {judgement.finding}")
    else:
        facts.append(f"measured: {row.measured}, n = {row.estimate.n:,}")
    if row.against:
        facts.append(f"null: {row.against}")
    if row.outcome == "says_nothing":
        facts.append(judgement.finding)
    if why := row.why_open:
        facts.append(why)
    if judgement.advice and row.outcome == "not_judged":  # a clear failure has no need of it
        facts.append(judgement.advice.removeprefix("; "))
    if waiver := judgement.waiver:
        facts.append(f"waived until {waiver.until}: {waiver.reason}")
    told = judgement.outcome.replace("_", " ")
    return Reason(row.title, row.outcome, told, tuple(facts), str(judgement))
