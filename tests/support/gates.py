"""Three versions of one model, and short calls of gate and audit for them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
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


@contextmanager
def with_status(registry: str, word: str, name: str = "digits", number: int = 3) -> Iterator[None]:
    """Gives a version, SIMILAR by default, another status in MLflow's own database."""
    database = registry.removeprefix("sqlite:///")

    def write(status: str) -> None:
        with closing(sqlite3.connect(database)) as opened, opened:
            changed = opened.execute(
                "UPDATE model_versions SET status = ? WHERE name = ? AND version = ?",
                [status, name, number],
            )
            assert changed.rowcount == 1

    write(word)
    try:
        yield
    finally:
        write("READY")


@contextmanager
def with_tag(key: str, value: str, name: str = "digits", number: int = 3) -> Iterator[None]:
    """Gives a version, SIMILAR by default, a tag."""
    client = mlflow.MlflowClient()
    client.set_model_version_tag(name, str(number), key, value)
    try:
        yield
    finally:
        client.delete_model_version_tag(name, str(number), key)


@contextmanager
def with_alias(alias: str, name: str = "digits", number: int = 3) -> Iterator[None]:
    """Gives a version, SIMILAR by default, an alias."""
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(name, alias, number)
    try:
        yield
    finally:
        client.delete_registered_model_alias(name, alias)
