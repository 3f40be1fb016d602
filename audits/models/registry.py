"""The model registry: finds the version that a URI names, and copies its files.

This runs in the auditing process and loads no model.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from audits.errors import AuditError, one_line
from audits.models.artifact_files import copy_file, copy_folder, copying
from audits.models.server import NOT_FOUND, expect_registry, no_answer
from audits.models.snapshot import copied_once, resolved_once
from audits.models.status import deprecated_by, expect_ready

_URI = re.compile(
    r"models:/(?:(?P<model_id>m-[0-9a-f]{32})"
    # As MLflow reads it: an @ of a name is no alias if a version follows, else the last @ is.
    r"|(?P<name>[^/]+)(?:/(?:(?P<version>[0-9]{1,9})|(?P<latest>latest))|@(?P<alias>[^/@]+)))"
)
_PAGE = 1000  # results in one answer; more are refused
_MOST_PAGES = 1000
_DATABRICKS = ("databricks", "uc")  # registries that give credentials for each version


@dataclass(frozen=True)
class Resolved:
    """The model that a URI named when it was resolved; aliases may move afterwards."""

    uri: str  # pinned: models:/<name>/<version>, or models:/m-<id>
    name: str
    version: str | None  # None for a logged model that was addressed by its id
    model_id: str | None  # the logged model; None for versions registered without one

    def __str__(self) -> str:
        name = one_line(self.name)
        return f"{name} v{self.version}" if self.version else f"{name} {self.model_id}"


def resolve(uri: str) -> Resolved:
    """The version or logged model that `models:/...` names; inside a snapshot, looked up once.

    Raises AuditError if the URI is malformed, if the model is not found, or if MLflow says that it
    is not registered yet or that its registration failed.
    """
    return resolved_once(uri, _resolve)


def _resolve(uri: str) -> Resolved:
    match = _parts(uri)
    expect_registry()
    client = mlflow.MlflowClient()
    try:
        if match["model_id"]:
            logged = client.get_logged_model(match["model_id"])
            expect_ready(uri, logged.status)
            return Resolved(uri, logged.name, None, logged.model_id)
        if match["alias"]:
            found = client.get_model_version_by_alias(match["name"], match["alias"])
        elif match["latest"]:
            found = _latest(client, match["name"])
        else:
            found = client.get_model_version(match["name"], match["version"])
    except MlflowException as error:
        if error.error_code not in NOT_FOUND:
            raise no_answer(error) from error
        raise AuditError(
            f"Expected a model at {uri} in the registry {mlflow.get_registry_uri()}, found none: "
            f"{error.message}"
        ) from error
    expect_ready(f"models:/{found.name}/{found.version}", found.status)
    return pinned(found)


def pinned(found: ModelVersion) -> Resolved:
    """The model of a version that MLflow has found."""
    version = str(found.version)
    source = str(found.source or "")
    model_id = found.model_id or (
        source.removeprefix("models:/") if source.startswith("models:/m-") else None
    )
    return Resolved(f"models:/{found.name}/{version}", found.name, version, model_id)


def _parts(uri: str) -> re.Match[str]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise AuditError(
            "Expected models:/<name>/<version>, models:/<name>@<alias>, models:/<name>/latest or "
            f"models:/m-<id>, got {uri!r}."
        )
    return match


def _latest(client: mlflow.MlflowClient, name: str) -> Any:
    client.get_registered_model(name)  # raises if the name is unknown
    versions = versions_of(name)
    if not versions:
        raise AuditError(f"Expected a version of {name!r} in the registry, found none.")
    return versions[-1]


def all_versions() -> list[ModelVersion]:
    """All versions of all registered models, by name and number."""
    search = mlflow.MlflowClient().search_model_versions
    return _in_order(all_pages(search, max_results=_PAGE))


def versions_of(name: str) -> list[ModelVersion]:
    """All versions of a registered model, oldest first; empty if the name is unknown."""
    search = mlflow.MlflowClient().search_model_versions
    found = all_pages(search, max_results=_PAGE, filter_string=matching("name", name))
    return _in_order([version for version in found if version.name == name])


def versions_of_alias(alias: str | None = None) -> set[tuple[str, str]]:
    """Name and number of all versions to which an alias, or any alias, points now."""
    models = all_pages(mlflow.MlflowClient().search_registered_models, max_results=_PAGE)
    pairs = ((m.name, name, str(number)) for m in models for name, number in m.aliases.items())
    return {(model, number) for model, name, number in pairs if alias in (None, name)}


def _in_order(versions: list[ModelVersion]) -> list[ModelVersion]:
    return sorted(versions, key=lambda version: (version.name, int(version.version)))


def all_pages(search: Callable[..., Any], **arguments: Any) -> list[Any]:
    """All results of one of MLflow's searches, from all of its pages; errors as of `results`."""
    return list(results(search, **arguments))


def results(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Results of one of MLflow's searches; a page is asked for when it is needed.

    Raises AuditError if the server sends a token a second time, or pages without an end.
    """
    seen: set[str] = set()
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
        if token in seen or len(seen) == _MOST_PAGES:
            what = "the token of a page again" if token in seen else f"more than {_MOST_PAGES:,}"
            raise AuditError(
                f"Expected pages of search results that come to an end, got {what}. Look at the "
                "MLflow server, or at the proxy before it."
            )
        seen.add(token)


def tags_of(model: Resolved) -> dict[str, str]:
    """Tags of the version, or of the logged model. Raises AuditError if it was deleted."""
    client = mlflow.MlflowClient()
    try:
        if model.version is not None:
            return dict(client.get_model_version(model.name, model.version).tags)
        if model.model_id is not None:
            return dict(client.get_logged_model(model.model_id).tags)
    except MlflowException as error:
        if error.error_code not in NOT_FOUND:
            raise no_answer(error) from error
        raise AuditError(f"Expected {model} in the registry, found none: deleted.") from error
    return {}


def expect_in_use(model: Resolved) -> None:
    """Asks MLflow now, whatever a snapshot has: is the version there, registered and in use?

    Raises AuditError if it was deleted, if it is not registered, or if it is deprecated.
    """
    if reason := deprecation_of(model):
        raise AuditError(
            f"Expected a version that is in use, got {model.uri}, which is deprecated ({reason}). "
            "Name another version, or take the mark away."
        )


def deprecation_of(model: Resolved) -> str:
    """What says now that the version is deprecated, in words; empty if nothing does.

    Raises AuditError if the version was deleted, or if it is not registered.
    """
    if model.version is None:
        return ""
    try:
        found = mlflow.MlflowClient().get_model_version(model.name, model.version)
    except MlflowException as error:
        if error.error_code not in NOT_FOUND:
            raise no_answer(error) from error
        raise AuditError(
            f"Expected {model.uri} in the registry, found none: it was deleted. Name another."
        ) from error
    expect_ready(model.uri, found.status)
    return deprecated_by(found)


def version_of_alias(name: str, alias: str) -> str | None:
    """The version that an alias points to now; None if the alias does not exist."""
    aliases = mlflow.MlflowClient().get_registered_model(name).aliases
    return str(aliases[alias]) if alias in aliases else None


def matching(field: str, text: str, *, begins: bool = False) -> str:
    """A filter of MLflow's searches for `text` in a field, or for what begins with it.

    It may let others through as well: MLflow's filters cannot write a text with a backslash, a line
    break, or both kinds of quotes, so any character is taken in place of these. Look at what was
    found.
    """
    value = re.sub(r"[\\\r\n]", "_", text)
    if "'" in value and '"' in value:
        value = value.replace("'", "_")
    like = begins or value != text
    quote = '"' if "'" in value else "'"
    end = "%" if begins else ""
    return f"{field} {'LIKE' if like else '='} {quote}{value}{end}{quote}"


def aliases_of(model: Resolved) -> list[str]:
    """Aliases that point to the version now."""
    if model.version is None:
        return []
    # A version from a search does not list its aliases.
    found = mlflow.MlflowClient().get_registered_model(model.name)
    return sorted(k for k, v in found.aliases.items() if str(v) == model.version)


def fetch(model: Resolved, folder: Path) -> Path:
    """Copies the model's files and returns their folder: in `folder` or in an open snapshot's.

    Raises ModelRefused if the files cannot be copied.
    """

    def copy(target: Path) -> Path:
        with copying(f"the files of {model.uri}", target):
            return copy_folder(_place(model), target)

    return copied_once(model.uri, folder, copy)


def fetch_file(model: Resolved, name: str, folder: Path, most: int) -> Path:
    """Copies the file `name` of the model, and nothing else, into `folder`; returns the copy.

    Raises ModelRefused if the file cannot be copied, or if it has more than `most` bytes.
    """
    copy = folder / name
    with copying(f"{name} of {model.uri}", folder):
        copy_file(_place(model), name, copy, most)
    return copy


def _place(model: Resolved) -> str:
    """The URI of the model's folder.

    MLflow's own URI of a version cannot hold every name: `?` and `#` would end it, and it takes
    what follows an `@` for an alias.
    """
    kind = mlflow.get_registry_uri().partition(":")[0]
    if model.version is None or kind.startswith(_DATABRICKS):
        return model.uri
    client = mlflow.MlflowClient()
    return str(client.get_model_version_download_uri(model.name, model.version))
