"""Is an audit due, or is there one already that would come out the same?"""

from typing import NamedTuple

from audits import data, past, registry
from audits.config import AuditConfig
from audits.data import ImageSet
from audits.errors import AuditError
from audits.past import PastAudit
from audits.pinned import audit_digest, baseline_config, today
from audits.registry import Resolved
from audits.subject import Subject
from audits.verdict import decide


class Due(NamedTuple):
    """The audit that makes another needless, or why one is due."""

    audit: PastAudit | None
    why: str


def due(config: AuditConfig) -> Due:
    """Looks for the version's standing audit, and whether it would come out the same today.

    `config` is pinned. The audit must be verified, have today's digest (of model, data, checks,
    baseline and policy) and the verdict that the policy has today, since waivers end. Raises
    AuditError where the model is not found.
    """
    model = registry.resolve_again(config.model)
    found = past.standing(model)
    if found is None:
        return Due(None, "there is no whole audit that can be verified")
    images = data.load(config.data)
    try:
        digest = _digest(config, model, images)
    except AuditError as error:
        return Due(None, f"the model cannot be opened: {error}")
    if found.content["digest"] != digest:
        return Due(None, "model, data, checks, baseline or policy are not those of its audit")
    if decide(config.policy, found.evidence, today()).word != found.word:
        return Due(None, f"its verdict would not be {found.word} today")
    return Due(found, f"audited in run {found.run_id}")


def _digest(config: AuditConfig, model: Resolved, images: ImageSet) -> str | None:
    with Subject(config, model, images) as subject:
        figures = subject.digest
    if config.baseline is None:
        return audit_digest(config, figures, None)
    own = baseline_config(config)
    with Subject(own, registry.resolve_again(own.model), images) as subject:
        return audit_digest(config, figures, subject.digest)
