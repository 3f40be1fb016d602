"""The verdict of a past audit, from its evidence.json."""

import json
from typing import Any

from audits.config.policy import Condition, Waiver
from audits.tracking.reader import NotVerified, PastAudit
from audits.verdict.decide import Judgement, Outcome, Verdict

_OUTCOMES: dict[str, Outcome] = {
    "passed": "passed",
    "failed": "failed",
    "not_judged": "not_judged",
}


def verdict_of(audit: PastAudit) -> Verdict:
    """The verdict as it was recorded. Raises NotVerified if its conditions are not the policy's."""
    said, policy = audit.content["verdict"], audit.content["config"]["policy"]
    try:
        conditions = [Condition.model_validate(values) for values in policy["conditions"]]
        judgements = tuple(
            _judgement(condition, found)
            for condition, found in zip(conditions, said["conditions"], strict=True)
        )
        return Verdict(
            audit.word,
            str(said["reason"]),
            judgements,
            str(said.get("not_covered") or ""),  # older evidence lacks it
            _deciding(audit, judgements),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotVerified(f"its verdict cannot be read: {error!r}") from error


def _judgement(condition: Condition, said: dict[str, Any]) -> Judgement:
    if str(condition) != said["condition"] or said["outcome"] not in _OUTCOMES:
        raise ValueError(f"expected the outcome of {condition}, got {said}")
    waiver = Waiver.model_validate_json(json.dumps(said["waiver"])) if said["waiver"] else None
    return Judgement(condition, _OUTCOMES[str(said["outcome"])], str(said["finding"]), waiver)


def _deciding(audit: PastAudit, judgements: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
    """The judgements behind the word, as `decide` names them."""
    if audit.questions:
        return ()
    wanted = {"failed": "failed", "undecided": "not_judged", "passed": "passed"}[audit.word]
    return tuple(j for j in judgements if j.waiver is None and j.outcome == wanted)
