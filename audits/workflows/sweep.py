"""The sweep: selects versions in the registry, and makes the config for all of them."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException

from audits.config.audit import AuditConfig
from audits.config.reading import parse_config
from audits.errors import AuditError
from audits.models import registry, server
from audits.models.status import left_alone
from audits.workflows.resolved import pinned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """The filters of a sweep. It looks at the versions that match all of them."""

    name: str | None = None
    alias: str | None = None
    tags: Mapping[str, str] | None = None

    def __str__(self) -> str:
        told = [f"name {self.name}"] if self.name else []
        told += [f"alias {self.alias}"] if self.alias else []
        told += [f"tag {key}={value}" for key, value in (self.tags or {}).items()]
        return ", ".join(told) or "all versions"


def versions(wanted: Wanted) -> list[str]:
    """URIs of the versions that match, by name and number.

    Raises AuditError if none matches: with a misspelt filter a sweep would seem to find no faults.
    """
    server.expect_registry()
    found = []
    left_out: Counter[str] = Counter()
    for name in [wanted.name] if wanted.name else registry.names():
        try:
            entries = registry.versions_of(name)
        except MlflowException as error:
            if error.error_code not in server.NOT_FOUND:
                raise server.no_answer(error) from error
            # MLflow accepts names that it cannot search for; the audit will report this name.
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
                if reason := left_alone(entry):
                    left_out[reason] += 1
                    continue
                found.append(f"models:/{name}/{entry.version}")
    for reason, count in sorted(left_out.items()):
        log.info("%d version%s left out: %s.", count, " is" if count == 1 else "s are", reason)
    if not found:
        kind = " in use" if left_out else ""
        raise AuditError(f"Expected versions{kind} with {wanted} in the registry, found none.")
    return found


def sweep_config(
    values: dict[str, Any], uris: Sequence[str], origin: str = "config"
) -> AuditConfig:
    """The config for all versions, with baseline and reference resolved once.

    `values` need no `model`: each of the `uris` takes its place. Raises AuditError.
    """
    config = parse_config({**values, "model": uris[0]}, origin)
    return pinned(config, ("reference", "baseline"))
