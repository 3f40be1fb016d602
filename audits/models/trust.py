"""Trust: which models may run code on this machine, as the auditor's own settings say.

The settings are a file of the user and an environment variable. Nothing in MLflow, and no config
that was recorded there, is asked.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Annotated, Any

import mlflow
import yaml
from pydantic import Field, ValidationError

from audits.errors import AuditError, ModelRefused
from audits.models.registry import Resolved
from audits.strict import Strict

SETTINGS, NAMES = "FILLBLANKS_SETTINGS", "FILLBLANKS_TRUST"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class _Named(Strict):
    """A pattern for names, in one registry alone."""

    name: Annotated[str, Field(min_length=1)]
    registry: Annotated[str, Field(min_length=1)]


class _Trusted(Strict):
    models: tuple[Annotated[str, Field(min_length=1)] | _Named, ...] = ()
    sha256: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()


class _Settings(Strict):
    trust: _Trusted = _Trusted()


@dataclass(frozen=True)
class Trust:
    """The auditor's trust in one model."""

    uri: str = ""  # of the model, for messages
    name: str | None = None  # as registered; None for a model that was addressed by its id
    by_name: bool = False  # whether all that the model brings may run
    sha256: tuple[str, ...] = ()  # of files that may be loaded, whatever the name

    def covers(self, sha256: str) -> bool:
        """Whether the file with this digest may be loaded."""
        return self.by_name or sha256 in self.sha256

    @property
    def name_line(self) -> str:
        """How to trust the model's name, in words for an error message."""
        if self.name is None:
            return "register it, since a model without a registered name has no name to trust"
        pattern = json.dumps(escape(self.name), ensure_ascii=False)
        return f"write `trust: {{models: [{pattern}]}}` into {settings_file()}"


NO_TRUST = Trust()


def expect_trusted_code(flavours: Mapping[str, Any], trust: Trust) -> dict[str, Any]:
    """The folders of modules of its own that each flavour in a model's MLmodel names.

    Raises ModelRefused if there are any and the auditor does not trust the model's name.
    """
    entries = {name: entry for name, entry in flavours.items() if isinstance(entry, dict)}
    named = {name: entry["code"] for name, entry in entries.items() if entry.get("code")}
    for name, code in named.items():
        if not trust.by_name:
            raise ModelRefused(
                f"Expected a model without code of its own, got code: {code!r} in flavour {name}, "
                "which would run when loaded. Log it as pt2 without code_paths, or, if you trust "
                f"all who can register models under its name, {trust.name_line}."
            )
    return named


def trust_in(model: Resolved, sha256: Sequence[str] = ()) -> Trust:
    """The trust that the settings, and the config's `sha256`, give to a model of the registry.

    A logged model that was addressed by its id is never trusted by name: whoever logs a model
    chooses that name. Raises AuditError if the settings are unsafe or make no sense.
    """
    settings = _settings().trust
    name = model.name if model.version is not None else None
    listed = [*settings.models, *_in_environment()]
    by_name = name is not None and any(_matches(one, name) for one in listed)
    return Trust(model.uri, name, by_name, (*sha256, *settings.sha256))


def settings_file() -> Path:
    """The settings file: $FILLBLANKS_SETTINGS, else fillblanks/settings.yaml in ~/.config."""
    if given := os.environ.get(SETTINGS):
        return Path(given).expanduser()
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "fillblanks" / "settings.yaml"


def _in_environment() -> list[str]:
    names = os.environ.get(NAMES, "").split(",")
    return [name.strip() for name in names if name.strip()]


def _matches(listed: str | _Named, name: str) -> bool:
    if isinstance(listed, str):
        return fnmatchcase(name, listed)
    return fnmatchcase(name, listed.name) and _is_below(mlflow.get_registry_uri(), listed.registry)


def _is_below(uri: str, prefix: str) -> bool:
    """Whether `uri` is `prefix`, or goes on after it with a slash: not `https://ours.evil.com`."""
    return uri.rstrip("/") == prefix.rstrip("/") or uri.startswith(prefix.rstrip("/") + "/")


def _settings() -> _Settings:
    file = settings_file()
    try:
        text = _own_text(file)
    except FileNotFoundError:
        if os.environ.get(SETTINGS):
            raise AuditError(
                f"Expected the file that {SETTINGS} names, {file}; found none."
            ) from None
        return _Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected settings in a text file at {file}: {error}") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AuditError(f"Expected YAML in {file}, got: {' '.join(str(error).split())}") from error
    if values is None:
        return _Settings()
    try:
        return _Settings.model_validate(_with_tuples(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise AuditError(
            f"Expected settings such as `trust: {{models: [digits], sha256: []}}` in {file}, but "
            f"{place or 'its content'}: {first['msg']}."
        ) from None


def _own_text(file: Path) -> str:
    """The text of a file that nobody but the user, or root, can have written."""
    with file.open(encoding="utf-8") as stream:
        found = os.fstat(stream.fileno())  # of the very file that is read
        if found.st_uid not in (os.geteuid(), 0):
            raise AuditError(f"Expected settings that are yours, got {file} of another user.")
        if found.st_mode & _OTHERS_WRITE:
            raise AuditError(
                f"Expected settings that nobody else can write, got {file} with mode "
                f"{stat.S_IMODE(found.st_mode):o}. Run chmod go-w {file}."
            )
        return stream.read()


def _with_tuples(values: Any) -> Any:
    """YAML has lists; a strict config has tuples."""
    if isinstance(values, dict):
        return {key: _with_tuples(value) for key, value in values.items()}
    return tuple(map(_with_tuples, values)) if isinstance(values, list) else values
