"""The sweep: which versions in the registry are due for an audit, and which are not, and why."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException

from audits.config.audit import AuditConfig
from audits.config.reading import parse_config
from audits.errors import AuditError
from audits.models import registry, server
from audits.workflows.resolved import pinned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """Which versions a sweep looks at: all that have every one of these."""

    name: str | None = None
    alias: str | None = None
    tags: Mapping[str, str] | None = None

    def __str__(self) -> str:
        told = [f"name {self.name}"] if self.name else []
        told += [f"alias {self.alias}"] if self.alias else []
        told += [f"tag {key}={value}" for key, value in (self.tags or {}).items()]
        return ", ".join(told) or "all versions"


def versions(wanted: Wanted) -> list[str]:
    """URIs of the versions that are wanted, by name and number.

    Raises AuditError where there is none: a filter that is misspelt would look like a sweep in
    which all is well.
    """
    server.expect_registry()
    found = []
    for name in [wanted.name] if wanted.name else registry.names():
        try:
            entries = registry.versions_of(name)
        except MlflowException:
            # MLflow takes names that it cannot search for; auditing this one will say so.
            found.append(f"models:/{name}/latest")
            continue
        aliased = (
            registry.version_of_alias(name, wanted.alias) if entries and wanted.alias else None
        )
        if wanted.alias and aliased is None:
            log.warning("%s is left out: it has no alias %s.", name, wanted.alias)
        for entry in entries:
            if wanted.alias and str(entry.version) != aliased:
                continue
            if all(entry.tags.get(key) == value for key, value in (wanted.tags or {}).items()):
                found.append(f"models:/{name}/{entry.version}")
    if not found:
        raise AuditError(f"Expected versions with {wanted} in the registry, found none.")
    return found


def sweep_config(
    values: dict[str, Any], uris: Sequence[str], origin: str = "config"
) -> AuditConfig:
    """The config for all versions, with baseline and reference resolved once.

    `model` need not stand in it: each version takes that place. Raises AuditError.
    """
    config = parse_config({**values, "model": uris[0]}, origin)
    return pinned(config, ("reference", "baseline"))
