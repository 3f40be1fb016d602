"""The audit as a Prefect flow: a task for each unit of work, and one for each conclusion.

Tasks run in this process, where the audit's session is open. Their parameters are names and
numbers, never models or tensors.
"""

from collections.abc import Sequence
from typing import Any

import mlflow
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from audits import AuditConfig, AuditResult, parse_config, run_audit
from audits.checks.base import Check
from audits.checks.context import Unit
from audits.evidence.evidence import Evidence
from audits.execution import fork_server
from audits.execution.session import Session
from flows.artifacts import ProgressShown, show
from flows.events import announce
from flows.outcome import not_passed, outcome_of


@flow(name="audit", flow_run_name="audit {model}", validate_parameters=False, persist_result=False)
def audit(model: str, config: AuditConfig | dict[str, Any]) -> AuditResult | State[Any]:
    """Audits `model` (models:/...) by `config`: an AuditConfig, or plain values from a deployment.

    Returns an AuditResult if the verdict is `passed`, else a state that has the verdict as its name
    and the reason as its message: `Failed`, or `Undecided` of type CANCELLED. Emits an event
    `fillblanks.audit.<verdict>` to a server that the user has configured. Artifacts show progress
    and answer. Raises AuditError if the config is bad, or if model or data are not found.
    """
    parsed = (
        config.model_copy(update={"model": model})
        if isinstance(config, AuditConfig)
        else parse_config({**config, "model": model})
    )
    result = run_audit(parsed, executor=Tasks())
    announce(result)
    show(result, mlflow.get_tracking_uri())
    verdict = result.verdict
    if verdict.word == "passed":
        return result
    return not_passed(verdict.word, f"{result.model}: {verdict.reason}", result)


def audited(config: AuditConfig) -> AuditResult:
    """Runs the flow and returns its AuditResult, whatever the verdict; raises what it raised."""
    fork_server.start()  # imports while Prefect starts
    state: State[Any] = audit(config.model, config, return_state=True)
    found: AuditResult = outcome_of(state)
    return found


class Tasks:
    """The executor of the flow: one task a unit, one after the other, and one a conclusion.

    The first session is of the audited model, the other one of its baseline.
    """

    def __init__(self) -> None:
        self._sessions: list[tuple[Session, ProgressShown]] = []

    def map_units(self, session: Session, check: Check, units: Sequence[Unit]) -> None:
        """Runs a task for each unit, until one fails."""
        numbered = {unit.number: unit for unit in units}
        title, progress = self._of(session)

        @task(
            name="measure",
            task_run_name=_literal(f"{title}: {check.name} ") + "{unit}",
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def measure(unit: int) -> None:
            session.measure(check, numbered[unit])

        for number in numbered:
            measure(number)
            progress.finished(check.unit_passes(numbered[number]))

    def conclude(self, session: Session, check: Check) -> Evidence:
        """Runs the task that concludes from all parts of a check."""
        title, _ = self._of(session)

        @task(
            name="conclude",
            task_run_name=_literal(f"{title}: {check.name} conclusion"),
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def conclude() -> Evidence:
            return session.conclude(check)

        return conclude()

    def _of(self, session: Session) -> tuple[str, ProgressShown]:
        """The title of the session's model, and its progress."""
        known = [one for one, _ in self._sessions]
        baseline = bool(known) and session is not known[0]
        title = f"baseline {session.model}" if baseline else str(session.model)
        if session not in known:
            passes = session.config.passes(len(session.images))
            self._sessions.append((session, ProgressShown(session.model.uri, title, passes)))
        return title, next(progress for one, progress in self._sessions if one is session)


def _literal(name: str) -> str:
    """The name as a template of Prefect, which fills in what stands in braces."""
    return name.replace("{", "{{").replace("}", "}}")
