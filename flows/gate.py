"""The gate as a Prefect flow; the audit that it needs is a subflow."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

import audits.workflows.gate
from audits import AuditConfig
from audits.config.policy import Policy
from audits.config.reading import parse_policy
from audits.workflows.gate import Decision
from flows.audit import audited
from flows.outcome import not_passed, outcome_of


@flow(name="gate", flow_run_name="gate {model}", validate_parameters=False, persist_result=False)
def gate(
    model: str,
    baseline: str | None = None,
    config: AuditConfig | dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    promote: str | None = None,
    accept_partial: bool = False,
    fresh: bool = False,
) -> Decision | State[Any]:
    """Decides whether `model` may go out; see `audits.workflows.gate.gate` for the parameters.

    `config` is an AuditConfig or its plain values, `policy` is plain values. Returns a Decision if
    its verdict is `passed`, else a state that has the verdict as its name and the reason as its
    message (`Failed`, or `Undecided` of type CANCELLED). Raises AuditError if something is not
    found.
    """
    decision = audits.workflows.gate.gate(
        model,
        baseline=baseline,
        config=config,
        policy=None if policy is None else parse_policy(policy),
        promote=promote,
        accept_partial=accept_partial,
        fresh=fresh,
        audit=audited,
    )
    word = decision.verdict.word
    return decision if word == "passed" else not_passed(word, decision.line, decision)


def gated(model: str, *, policy: Policy | None = None, **options: Any) -> Decision:
    """Runs the flow and returns its Decision, whatever the verdict; raises what it raised."""
    values = None if policy is None else policy.model_dump(mode="json")
    decision: Decision = outcome_of(gate(model, policy=values, **options, return_state=True))
    return decision
