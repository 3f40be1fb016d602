"""A policy to start from, written from the audit of a version that was accepted."""

from collections.abc import Sequence

from audits.checks.base import Check
from audits.config.audit import EXPERIMENT
from audits.config.policy import Condition
from audits.errors import AuditError, quoted
from audits.models import registry
from audits.tracking import reader
from audits.tracking.reader import PastAudit
from audits.verdict.coverage import about_learning, not_covered
from audits.verdict.suggest import policy_from


def policy_of(uri: str, experiment: str = EXPERIMENT) -> str:
    """The policy as YAML, from the standing audit of the model at `uri` in an experiment.

    Raises AuditError if there is no model, no audit of it that can be verified, or none that covers
    what the model has learnt.
    """
    found = reader.standing(registry.resolve(uri), experiment)
    if found is None:
        raise AuditError(
            f"Expected an audit of {uri} to start from, found none in the experiment "
            f"{quoted(experiment)} that can be verified. Run `fillblanks audit` on it first."
        )
    _expect_covered(uri, found)
    return policy_from(found.word, found.evidence, _heading(found))


def _expect_covered(uri: str, audit: PastAudit) -> None:
    """Raises AuditError if the audit passed without judging what the model has learnt.

    Other audits need at least figures of it: conditions are written from them.
    """
    checks = tuple(audit.content.config.known_checks.values())
    judged: list[Condition] = []
    if audit.word == "passed":
        said = audit.content.verdict.conditions
        decided = [c.condition for c in said if c.outcome in ("passed", "failed") and not c.waiver]
        conditions = audit.content.config.parsed_policy.conditions
        judged = [condition for condition in conditions if str(condition) in decided]
    elif _has_figures(audit, checks):
        return
    if gap := not_covered(judged, audit.evidence, checks):
        raise AuditError(
            f"Expected an audit of {uri} that covers what the model has learnt, got a verdict "
            f"{audit.word} in run {audit.run_id}. {gap} Audit it with such a check and a condition "
            "on it."
        )


def _has_figures(audit: PastAudit, checks: Sequence[Check]) -> bool:
    """Whether the audit measured any metric of what the model has learnt."""
    metrics = {one.check: one.metrics for one in audit.evidence}
    return any(metrics.get(c.name, {}).keys() & about_learning(c).keys() for c in checks)


def _heading(audit: PastAudit) -> tuple[str, str]:
    images = audit.content.data
    return (
        f"From the audit of {audit.content.model.uri} (verdict {audit.word}, run {audit.run_id})",
        f"on {images.name}, {images.images} images. Behind each bound: the measured value.",
    )
