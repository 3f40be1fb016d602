"""The sweep: selects versions in the registry, and makes the config for all of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from audits.config.audit import AuditConfig
from audits.config.reading import parse_config
from audits.errors import AuditError
from audits.models import registry, server
from audits.workflows.resolved import pinned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """The filters of a sweep. It looks at the versions that match all of them."""

    name: str | None = None
    alias: str | None = None
    tags: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for filter_, given in (("name", self.name), ("alias", self.alias)):
            if given is not None and not given.strip():  # it would be a filter that lets all in
                raise AuditError(f"Expected a {filter_} to choose versions by, got an empty one.")

    def __str__(self) -> str:
        told = [f"name {self.name}"] if self.name else []
        told += [f"alias {self.alias}"] if self.alias else []
        told += [f"tag {key}={value}" for key, value in (self.tags or {}).items()]
        return ", ".join(told) or "all versions"


def versions(wanted: Wanted) -> list[ModelVersion]:
    """The versions that match, by name and number, as MLflow has them now.

    MLflow is asked for all of them at once. Raises AuditError if none matches: with a misspelt
    filter a sweep would seem to find no faults.
    """
    server.expect_registry()
    try:
        found = registry.versions_of(wanted.name) if wanted.name else registry.all_versions()
        if wanted.alias:
            found = _aliased(found, wanted.alias)
    except MlflowException as error:
        raise server.no_answer(error) from error
    tags = (wanted.tags or {}).items()
    found = [version for version in found if all(version.tags.get(k) == v for k, v in tags)]
    if not found:
        raise AuditError(f"Expected versions with {wanted} in the registry, found none.")
    return found


def _aliased(found: Sequence[ModelVersion], alias: str) -> list[ModelVersion]:
    pointed = registry.versions_of_alias(alias)
    without = {version.name for version in found} - {name for name, _ in pointed}
    if without:
        log.warning("%d models are left out: they have no alias %s.", len(without), alias)
    return [version for version in found if (version.name, str(version.version)) in pointed]


def sweep_config(
    values: dict[str, Any], found: Sequence[ModelVersion], origin: str = "config"
) -> AuditConfig:
    """The config for all versions, with baseline and reference resolved once.

    `values` need no `model`: each of the versions `found` takes its place. Raises AuditError.
    """
    config = parse_config({**values, "model": registry.pinned(found[0]).uri}, origin)
    return pinned(config, ("reference", "baseline"))
