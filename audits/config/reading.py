"""Reads configs and policies from YAML or plain values, and words the errors in them."""

import difflib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from audits.checks.base import Check
from audits.config.audit import AnyCheck, AuditConfig
from audits.config.policy import Policy
from audits.errors import AuditError
from audits.strict import Strict, known_keys

_Kind = TypeVar("_Kind", bound=Strict)
_CHECK: TypeAdapter[Check] = TypeAdapter(AnyCheck)


def read_config(path: str | Path, **overrides: Any) -> AuditConfig:
    """The config in a YAML file; `overrides` replace its top-level keys.

    Raises AuditError with a line for each mistake.
    """
    return parse_config({**read_mapping(path), **overrides}, origin=str(path))


def read_policy(path: str | Path) -> Policy:
    """The policy in a YAML file of its own. Raises AuditError."""
    return parse_policy(read_mapping(path), str(path))


def parse_policy(data: dict[str, Any], origin: str = "policy") -> Policy:
    """The policy in plain values. Raises AuditError."""
    return _parsed(Policy, data, origin)


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The top-level keys of a YAML file. Raises AuditError."""
    try:
        data = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise AuditError(f"Expected a YAML file at {path}, found none.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected a UTF-8 text file at {path}: {error}") from error
    except RecursionError:
        raise AuditError(
            f"Expected YAML in {path}, got brackets or mappings that are too deep, one inside the "
            "other. Write it flatter."
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: 2024-13-45 is no date, say
        raise AuditError(f"Expected YAML in {path}, got: {error}") from error
    if not isinstance(data, dict):
        raise AuditError(f"Expected a mapping in {path}, got {type(data).__name__}.")
    return data


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is twice in a mapping: YAML would silently take the later one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def parse_config(data: dict[str, Any], origin: str = "config") -> AuditConfig:
    """The config in plain values, as YAML and JSON have them. Raises AuditError."""
    return _parsed(AuditConfig, data, origin)


def _parsed(kind: type[_Kind], data: dict[str, Any], origin: str) -> _Kind:
    try:
        return kind.model_validate_json(json.dumps(data, allow_nan=False, default=_date))
    except ValidationError as error:
        lines = [f"{origin}: {_place(e['loc'])}{_message(e, kind)}" for e in error.errors()]
        raise AuditError(*lines) from None
    except (TypeError, ValueError) as error:
        raise AuditError(f"{origin}: expected plain YAML values, got: {error}") from error


def parse_checks(data: Sequence[Any]) -> dict[str, Check]:
    """The checks of a recorded config, by name, whatever policy it had.

    A check that this release or this environment does not know is left out.
    """
    found: dict[str, Check] = {}
    for values in data:
        try:
            check = _CHECK.validate_json(json.dumps(values, allow_nan=False))
        except (ValidationError, TypeError, ValueError):
            continue
        found[check.name] = check
    return found


def dump_config(config: AuditConfig) -> str:
    """The resolved config as YAML, with every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _date(value: Any) -> str:
    """A date as text: YAML has dates, JSON has not."""
    if type(value) is date:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _message(error: Any, kind: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        known = known_keys(kind, error["loc"])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        told = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
        return f"unknown key. {told}"
    if error["type"] == "union_tag_invalid":
        kinds = error["ctx"]["expected_tags"]
        return f"unknown kind {error['ctx']['tag']!r}. Expected one of {kinds}."
    if error["type"] == "tuple_type" and isinstance(error["input"], str | int | float):
        return f"expected a list, got {error['input']!r}. Write [{error['input']}]."
    message: str = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("value_error", "missing") or isinstance(error.get("input"), dict):
        return message
    return f"{message}, got {error.get('input')!r}"
