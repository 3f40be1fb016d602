"""A policy to start from, written from the audit of a version that was accepted."""

from audits.config.reading import parse_checks
from audits.errors import AuditError
from audits.models import registry
from audits.tracking import reader
from audits.tracking.reader import PastAudit
from audits.verdict.coverage import not_covered
from audits.verdict.suggest import policy_from


def policy_of(uri: str) -> str:
    """The policy as YAML, from the standing audit of the model at `uri`.

    Raises AuditError if there is no model, no audit of it that can be verified, or none that covers
    what the model has learnt.
    """
    found = reader.standing(registry.resolve(uri))
    if found is None:
        raise AuditError(
            f"Expected an audit of {uri} to start from, found none that can be verified. Run "
            "`fillblanks audit` on it first."
        )
    _expect_covered(uri, found)
    return policy_from(found.word, found.evidence, _heading(found))


def _expect_covered(uri: str, audit: PastAudit) -> None:
    """Raises AuditError if the audit passed without judging what the model has learnt.

    Other audits need at least figures of a check of it: conditions are written from them.
    """
    checks = parse_checks(audit.content["config"]["checks"]).values()
    if audit.word == "passed":
        said = audit.content["verdict"]["conditions"]
        decided = [c["condition"] for c in said if c["outcome"] != "not_judged"]
        judged = [condition.rsplit(" ", 2)[0] for condition in decided]  # "<figure> >= <bound>"
    else:
        judged = [f"{one.check}/{name}" for one in audit.evidence for name in one.estimates]
    if gap := not_covered(judged, audit.evidence, tuple(checks)):
        raise AuditError(
            f"Expected an audit of {uri} that covers what the model has learnt, got a verdict "
            f"{audit.word} in run {audit.run_id}. {gap} Audit it with such a check and a condition "
            "on it."
        )


def _heading(audit: PastAudit) -> tuple[str, str]:
    model, images = audit.content["model"], audit.content["data"]
    return (
        f"From the audit of {model['uri']} (verdict {audit.word}, run {audit.run_id})",
        f"on {images['name']}, {images['images']} images. Behind each bound: the measured value.",
    )
