"""The flows that `fillblanks serve` runs: by the config of the person who serves, and by no other.

Who may start runs on a Prefect server chooses their parameters. A config can take the cell away or
trust a pickle, so it reaches the processes of the runs by their environment.
"""

import json
import os
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

import flows.audit
import flows.sweep
from audits import AuditError, AuditResult
from audits.workflows.sweep import Wanted
from audits.workflows.sweep_summary import Summary

_VARIABLE = "FILLBLANKS_SERVED"
_LONGEST = 100_000  # characters; Linux takes 131,071 bytes in a variable


@flow(name="audit", flow_run_name="audit {model}", validate_parameters=False, persist_result=False)
def audit(model: str) -> AuditResult | State[Any]:
    """Audits `model` (models:/...) by the served config; see `flows.audit.audit`."""
    return flows.audit.audit.fn(model, _kept()["config"])


@flow(name="sweep", validate_parameters=False, persist_result=False)
def sweep() -> Summary | State[Any]:
    """Audits what is due of the versions that are served; see `flows.sweep.sweep`."""
    kept = _kept()
    return flows.sweep.sweep.fn(kept["config"], **kept["wanted"])


def keep(config: dict[str, Any], wanted: Wanted) -> None:
    """Puts config and filters into the environment, which the processes of the runs inherit.

    Raises AuditError if they are too long for it.
    """
    which = {"name": wanted.name, "alias": wanted.alias, "tags": dict(wanted.tags or {})}
    text = json.dumps({"config": config, "wanted": which}, default=str)  # dates, as ISO 8601
    if len(text) > _LONGEST:
        raise AuditError(
            f"Expected a config of at most {_LONGEST:,} characters as JSON to serve, got "
            f"{len(text):,}. Name long lists of classes under preprocessing.classes_file."
        )
    os.environ[_VARIABLE] = text


def _kept() -> dict[str, Any]:
    text = os.environ.get(_VARIABLE)
    if text is None:
        raise AuditError(
            "Expected a flow that `fillblanks serve` runs, got one that was started otherwise. "
            "Deploy flows/audit.py and flows/sweep.py, as prefect.yaml does."
        )
    kept: dict[str, Any] = json.loads(text)
    return kept
