"""Reads configs and policies from YAML or plain values, and words the errors in them."""

import difflib
import json
import re
from collections.abc import Hashable, Sequence
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
from audits.yaml_size import excess

_Kind = TypeVar("_Kind", bound=Strict)
_BYTES = 2 << 20  # 20,000 classes with long names have 1 MiB
_VALUES = 100_000  # of YAML, those that an alias repeats counted each time
_DEPTH = 50
_DIGITS = 1_000
_TOLD = 10  # mistakes; of others only the number is told
_TYPE = re.compile(r"constrained-\w+|(literal|tuple|list|dict|function-\w+)\[.*\]")
_Place = tuple[int | str, ...]
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
        text = _text(Path(path))
        # A text that is not read to its end is not parsed either.
        too_much = "too large" if text is None else excess(text, _UniqueKeys, _VALUES, _DEPTH)
        data = None if too_much else yaml.load(text or "", Loader=_UniqueKeys)
    except FileNotFoundError:
        raise AuditError(f"Expected a YAML file at {path}, found none.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected a UTF-8 text file at {path}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: 2024-13-45 is no date, say
        raise AuditError(f"Expected YAML in {path}, got: {error}") from error
    if too_much == "contains itself":
        raise AuditError(f"Expected YAML in {path} without values that contain themselves.")
    if too_much == "too large":
        raise AuditError(
            f"Expected YAML in {path} of at most {_BYTES >> 20} MiB, {_VALUES:,} values (aliases "
            f"written out) and {_DEPTH} levels, got YAML that is too large or too deep. Write it "
            "shorter or flatter."
        )
    if not isinstance(data, dict):
        raise AuditError(f"Expected a mapping in {path}, got {type(data).__name__}.")
    return data


def _text(file: Path) -> str | None:
    """The text of a file; None if it is too large."""
    with file.open("rb") as stream:
        found = stream.read(_BYTES + 1)
    return found.decode("utf-8") if len(found) <= _BYTES else None


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is twice in a mapping: YAML would silently take the later one."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self._looked_at: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if id(node) not in self._looked_at:  # later it has the keys of those that it merges
            self._looked_at.add(id(node))
            self._expect_unique(node)
        super().flatten_mapping(node)

    def _expect_unique(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # whose keys give way to those that stand here
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # which is refused later
            if str(key) in seen:  # as JSON has it: 1 and "1" are one
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
            seen.add(str(key))

    def construct_number(self, node: yaml.ScalarNode) -> float:
        if len(node.value) > _DIGITS:  # one in base 60, 1:1:1, takes the square of them
            raise yaml.constructor.ConstructorError(
                None, None, f"a number has more than {_DIGITS} digits", node.start_mark
            )
        whole = node.tag.endswith("int")
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


for _number in ("int", "float"):
    _UniqueKeys.add_constructor(f"tag:yaml.org,2002:{_number}", _UniqueKeys.construct_number)


def parse_config(data: dict[str, Any], origin: str = "config") -> AuditConfig:
    """The config in plain values, as YAML and JSON have them. Raises AuditError."""
    return _parsed(AuditConfig, data, origin)


def _parsed(kind: type[_Kind], data: dict[str, Any], origin: str) -> _Kind:
    try:
        return kind.model_validate_json(json.dumps(data, allow_nan=False, default=_date))
    except ValidationError as error:
        found = _by_field(error.errors(include_url=False))
        told = [
            f"{origin}: {_place(place)}{'; or: '.join(_message(e, kind) for e in errors)}"
            for place, errors in found[:_TOLD]
        ]
        raise AuditError(*told, *("" for _ in found[_TOLD:])) from None
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


def _by_field(errors: Sequence[Any]) -> list[tuple[_Place, list[Any]]]:
    """Errors of pydantic by their places, with those of one field together that may have types.

    Of each type that the field may have, the first error is kept.
    """
    found: dict[_Place, dict[Any, Any]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # it has enough items, of which some are told as mistakes
        place = error["loc"]
        at = next((n for n, part in enumerate(place) if _is_type(part)), len(place))
        # The part that a field names after its place is the type, and then the place within it.
        type_of = place[at] if at < len(place) else error["type"]
        found.setdefault(place[:at], {}).setdefault(type_of, error)
    return [(place, list(by_type.values())) for place, by_type in found.items()]


def _is_type(part: int | str) -> bool:
    """Whether pydantic means one of the types of a field, and no key."""
    return isinstance(part, str) and bool(_TYPE.fullmatch(part))


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
