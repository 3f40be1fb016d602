"""The evidence: a registered model, a data set and a config give evidence and a verdict in MLflow.

Works without Prefect. Start at `run_audit` (run.py); a check is one file in `checks`.
"""

from audits.config import AuditConfig, parse_config, read_config
from audits.errors import AuditError
from audits.run import AuditResult, run_audit

__all__ = ["AuditConfig", "AuditError", "AuditResult", "parse_config", "read_config", "run_audit"]
