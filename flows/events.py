"""Prefect events about audits, on which users hang their notifications."""

from prefect.events import emit_event
from prefect.settings import get_current_settings

from audits import AuditResult

PREFIX = "fillblanks.audit"


def configured() -> bool:
    """Whether a Prefect server is configured, in whatever way Prefect knows."""
    return get_current_settings().api.url is not None


def _resource(uri: str, name: str) -> dict[str, str]:
    """models:/digits/3 is fillblanks.model.digits.3"""
    parts = uri.removeprefix("models:/").replace("/", ".")
    return {"prefect.resource.id": f"fillblanks.model.{parts}", "prefect.resource.name": name}


def announce(result: AuditResult) -> None:
    """Emits `fillblanks.audit.passed`, `.failed` or `.undecided`, where a server is configured."""
    if not configured():  # nobody can have an automation on a temporary server
        return
    model, verdict = result.model, result.verdict
    emit_event(
        f"{PREFIX}.{verdict.word}",
        resource=_resource(model.uri, str(model)),
        payload={
            "model": model.uri,
            "verdict": verdict.word,
            "reason": verdict.reason,
            "run_id": result.run_id,
            "page": result.page,
        },
    )


def announce_error(model: str, reason: str) -> None:
    """Emits `fillblanks.audit.error`: an audit that broke off and has no verdict."""
    if not configured():
        return
    emit_event(
        f"{PREFIX}.error",
        resource=_resource(model, model),
        payload={"model": model, "verdict": "error", "reason": reason, "run_id": "", "page": ""},
    )
