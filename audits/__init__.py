"""Audits of registered models: model, data set and config give evidence and a verdict in MLflow.

The package works without Prefect. Start to read at `workflows/audit.py`. A sub-package may import
those before it in this list: data; models, evidence; checks; config; execution; verdict; report;
tracking; workflows. All of them may import `errors.py` and `strict.py`.
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
    # Imported at first use: the process that holds a model must start without MLflow's client.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
