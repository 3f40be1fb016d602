"""The audit as a Prefect flow: a task for each unit of work, and one for each conclusion.

Tasks are given names and numbers, never models or tensors: a task in another process opens the same
audit for itself (`attach`).
"""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from audits import AuditConfig, AuditResult, parse_config, run_audit
from audits.checks.base import Check
from audits.checks.context import Unit
from audits.evidence.evidence import Evidence
from audits.execution.session import Session
from audits.execution.tickets import attach
from flows.events import announce
from flows.outcome import not_passed, outcome_of


@flow(name="audit", flow_run_name="audit {model}", validate_parameters=False, persist_result=False)
def audit(model: str, config: dict[str, Any]) -> AuditResult | State[Any]:
    """Audits `model` (models:/...) by `config`, the plain values of an AuditConfig.

    Returns an AuditResult if the verdict is `passed`, else a state of type FAILED that has the
    verdict as its name and the reason as its message. Emits an event `fillblanks.audit.<verdict>`.
    Raises AuditError if the config is bad, or if model or data are not found.
    """
    parsed = parse_config({**config, "model": model})
    result = run_audit(parsed, measure=_measure, conclude=_conclude)
    announce(result)
    verdict = result.verdict
    if verdict.word == "passed":
        return result
    return not_passed(verdict.word, f"{result.model}: {verdict.reason}", result)


def audited(config: AuditConfig) -> AuditResult:
    """Runs the flow and returns its AuditResult, whatever the verdict; raises what it raised."""
    state: State[Any] = audit(config.model, config.model_dump(mode="json"), return_state=True)
    found: AuditResult = outcome_of(state)
    return found


def _measure(session: Session, check: Check, unit: Unit) -> None:
    measure(session.ticket, check.name, unit.number)


def _conclude(session: Session, check: Check) -> Evidence:
    return conclude(session.ticket, check.name)


@task(task_run_name="{check} {unit}", cache_policy=NO_CACHE, persist_result=False)
def measure(ticket: str, check: str, unit: int) -> None:
    """Measures one unit of a check; its part goes to the store."""
    session = attach(ticket)
    found = session.check(check)
    session.measure(found, session.units(found)[unit])


@task(task_run_name="{check} conclusion", cache_policy=NO_CACHE, persist_result=False)
def conclude(ticket: str, check: str) -> Evidence:
    """Concludes from all parts of a check."""
    session = attach(ticket)
    return session.conclude(session.check(check))
