"""The verdict of a past audit, from its evidence.json."""

import json

from audits.config.policy import Condition, Waiver
from audits.errors import AuditError
from audits.tracking.content import Judged
from audits.tracking.reader import NotVerified, PastAudit
from audits.verdict.decide import Verdict
from audits.verdict.judgement import Judgement


def verdict_of(audit: PastAudit) -> Verdict:
    """The verdict as it was recorded. Raises NotVerified if its conditions are not the policy's."""
    said = audit.content.verdict
    try:
        conditions = audit.content.config.parsed_policy.conditions
        judgements = tuple(
            _judgement(condition, found)
            for condition, found in zip(conditions, said.conditions, strict=True)
        )
    except (AuditError, ValueError) as error:
        raise NotVerified(f"its verdict cannot be read: {error!r}") from error
    deciding = _deciding(audit, judgements)
    return Verdict(said.word, said.reason, judgements, said.not_covered or "", deciding)


def _judgement(condition: Condition, said: Judged) -> Judgement:
    if str(condition) != said.condition:
        raise ValueError(f"expected the outcome of {condition}, got {said}")
    waiver = Waiver.model_validate_json(json.dumps(said.waiver)) if said.waiver else None
    return Judgement(condition, said.outcome, said.finding, waiver)


def _deciding(audit: PastAudit, judgements: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
    """The judgements behind the word, as `decide` names them."""
    if audit.questions or (audit.doubts and audit.word == "undecided"):
        return ()
    wanted = {"failed": "failed", "undecided": "not_judged", "passed": "passed"}[audit.word]
    return tuple(j for j in judgements if j.waiver is None and j.outcome == wanted)
