"""A policy to start from, written from the audit of a version that was accepted."""

from audits.errors import AuditError
from audits.models import registry
from audits.tracking import reader
from audits.tracking.reader import PastAudit
from audits.verdict.suggest import policy_from


def policy_of(uri: str) -> str:
    """The policy as YAML, from the standing audit of the model at `uri`.

    Raises AuditError if there is no model, or no audit of it that can be verified.
    """
    found = reader.standing(registry.resolve(uri))
    if found is None:
        raise AuditError(
            f"Expected an audit of {uri} to start from, found none that can be verified. Run "
            "`fillblanks audit` on it first."
        )
    return policy_from(found.word, found.evidence, _heading(found))


def _heading(audit: PastAudit) -> tuple[str, str]:
    model, images = audit.content["model"], audit.content["data"]
    return (
        f"From the audit of {model['uri']} (verdict {audit.word}, run {audit.run_id})",
        f"on {images['name']}, {images['images']} images. Behind each bound: the measured value.",
    )
