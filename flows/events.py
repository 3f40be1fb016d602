"""Prefect events about audits, to which the automations of users listen."""

from prefect.events import emit_event

from audits import AuditResult
from flows.server import configured

PREFIX = "fillblanks.audit"


def _resource(uri: str, name: str) -> dict[str, str]:
    """models:/digits/3 is fillblanks.model.digits.3"""
    parts = uri.removeprefix("models:/").replace("/", ".")
    return {"prefect.resource.id": f"fillblanks.model.{parts}", "prefect.resource.name": name}


def announce(result: AuditResult) -> None:
    """Emits `fillblanks.audit.passed`, `.failed` or `.undecided`.

    Emits nothing if the user has configured no server: a temporary server has no automations.
    """
    if not configured():
        return
    model, verdict = result.model, result.verdict
    emit_event(
        f"{PREFIX}.{verdict.word}",
        resource=_resource(model.uri, str(model)),
        payload={
            "model": model.uri,
            "verdict": verdict.word,
            "reason": verdict.reason,
            "not_covered": verdict.not_covered,
            "run_id": result.run_id,
            "page": result.page,
        },
    )


def announce_error(model: str, reason: str) -> None:
    """Emits `fillblanks.audit.error` for an audit that broke off and has no verdict.

    Emits nothing if the user has configured no server.
    """
    if not configured():
        return
    emit_event(
        f"{PREFIX}.error",
        resource=_resource(model, model),
        payload={
            "model": model,
            "verdict": "error",
            "reason": reason,
            "not_covered": "",
            "run_id": "",
            "page": "",
        },
    )
