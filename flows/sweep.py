"""The sweep as a Prefect flow; every version that is due is audited as a subflow of its own."""

from collections.abc import Mapping
from typing import Any

import mlflow
from prefect import flow
from prefect.client.schemas.objects import State

from audits.workflows.candidates import candidates
from audits.workflows.sweep import Wanted, sweep_config, versions
from audits.workflows.sweep_summary import NOTHING, Summary, audit_due
from flows.artifacts import show_sweep
from flows.audit import audited
from flows.events import announce_error
from flows.outcome import not_passed, outcome_of


@flow(name="sweep", validate_parameters=False, persist_result=False)
def sweep(
    config: dict[str, Any],
    name: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Summary | State[Any]:
    """Audits every version of the registry that is due, one after the other.

    `config` is an AuditConfig in plain values. `name`, `alias` and `tags`, if given, narrow the
    versions down; a version must have all of them. An audit that breaks off does not stop the
    others. What is no image classifier is left alone. The summary is also a table artifact
    `audit-sweep`. Returns the Summary if every verdict, new or standing, is `passed`, or if every
    version is left alone; else a state `Failed`, or `Undecided` of type CANCELLED, with the summary
    as its message. Raises AuditError if the config is bad or no version is found.
    """
    found = versions(Wanted(name, alias, tags))
    parsed = sweep_config(config, found)
    chosen = candidates(found, parsed, named=name is not None)
    summary = audit_due(parsed, chosen, audit=audited, broke_off=announce_error)
    show_sweep(summary, mlflow.get_tracking_uri())
    word = summary.word
    return summary if word in ("passed", NOTHING) else not_passed(word, str(summary), summary)


def swept(config: dict[str, Any], wanted: Wanted) -> Summary:
    """Runs the flow and returns its Summary, whatever the verdicts; raises what it raised."""
    state: State[Any] = sweep(config, wanted.name, wanted.alias, wanted.tags, return_state=True)
    summary: Summary = outcome_of(state)
    return summary
