"""Three versions of one model, and short calls of gate and audit for them."""

from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion

from audits import AuditConfig, AuditResult, parse_config, run_audit
from audits.workflows.gate import Decision, gate

GOOD, WORSE, SIMILAR = "models:/digits/1", "models:/digits/2", "models:/digits/3"
FILLS = [{"kind": "performance"}, {"kind": "progressive_fill", "images": 50}]


class AuditNeeded(Exception):
    """Raised in place of an audit, with the config of that audit."""


def never(config: AuditConfig) -> AuditResult:
    raise AuditNeeded(config)


def ask(config: dict[str, Any], **options: Any) -> Decision:
    return gate(config["model"], config=config, **options)


def audit(config: dict[str, Any], **options: Any) -> AuditResult:
    return run_audit(parse_config(config), **options)


def version(uri: str) -> ModelVersion:
    return mlflow.MlflowClient().get_model_version("digits", uri.rsplit("/", 1)[-1])
