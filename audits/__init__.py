"""The evidence: a registered model, a data set and a config give evidence and a verdict in MLflow.

Works without Prefect. Start at `workflows/audit.py`. The rooms, from the ground up, each of which
may import those before it: data, models, evidence; checks; config; execution; verdict; tracking
and report; workflows. `errors.py` and `strict.py` are for all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audits.config.audit import AuditConfig
    from audits.config.reading import parse_config, read_config
    from audits.errors import AuditError
    from audits.verdict.result import AuditResult
    from audits.workflows.audit import run_audit

_HOMES = {
    "AuditConfig": "audits.config.audit",
    "AuditError": "audits.errors",
    "AuditResult": "audits.verdict.result",
    "parse_config": "audits.config.reading",
    "read_config": "audits.config.reading",
    "run_audit": "audits.workflows.audit",
}

__all__ = ["AuditConfig", "AuditError", "AuditResult", "parse_config", "read_config", "run_audit"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the process that holds a model must start without MLflow's client.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
