"""AuditConfig: everything an audit is told. YAML maps to it one to one."""

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, Union

import yaml
from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from audits.checks import check_classes
from audits.checks.base import Check
from audits.data import AnyData
from audits.errors import AuditError
from audits.policy import Policy
from audits.strict import Strict, closest_key
from fillblanks.plan import MemoryFormat, Precision

if TYPE_CHECKING:
    AnyCheck = Check
else:
    AnyCheck = Annotated[Union[check_classes()], Field(discriminator="kind")]  # noqa: UP007


_Kind = TypeVar("_Kind", bound=Strict)


class Preprocessing(Strict):
    """What stands between an image in [0, 1] and the network."""

    mean: tuple[float, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None
    classes: tuple[str, ...] | None = None  # in the order of the logits
    overrides: bool = Field(
        default=True, description="false: only what the model's metadata do not say"
    )

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and len(set(classes)) < len(classes):
            raise ValueError("expected different class names, got one twice")
        return classes


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Limits(Strict):
    """What the child process that holds the model may take before it is stopped."""

    load_seconds: PositiveFloat = 300.0
    unit_seconds: PositiveFloat = 1800.0
    memory_gib: PositiveFloat | None = None


class EngineSettings(Strict):
    """How passes are run. What is not fixed here is found by a short calibration on the model."""

    precision: Precision | None = None
    memory_format: MemoryFormat | None = None
    chunk: PositiveInt | None = Field(default=None, description="masked images in one pass")
    block: PositiveInt | None = Field(
        default=None, description="draws whose masks are made and whose updates are summed at once"
    )
    fused: bool | None = Field(
        default=None, description="batch normalisation inside convolutions, ReLU in place"
    )
    captured: bool | None = Field(default=None, description="on a GPU: passes as one CUDA graph")

    @property
    def fixed(self) -> dict[str, Any]:
        """The fields of a plan that are fixed."""
        return self.model_dump(exclude_none=True)


class AuditConfig(Strict):
    """One audit: a registered model, a data set, checks and a policy."""

    model: str = Field(
        description="models:/name/3, models:/name@alias, models:/name/latest or models:/m-<id>"
    )
    data: AnyData
    checks: tuple[AnyCheck, ...]
    policy: Policy = Policy()
    preprocessing: Preprocessing = Preprocessing()
    limits: Limits = Limits()
    engine: EngineSettings = EngineSettings()
    reference: str | None = Field(
        default=None,
        description="models:/... of an independent model of the same classes, which is asked to "
        "recognise the fills too",
    )
    baseline: str | None = Field(
        default=None,
        description="models:/... of the model that `max_drop` conditions compare with, measured "
        "on the same data with the same checks",
    )
    trust_pickle_sha256: tuple[Sha256, ...] = Field(
        default=(),
        description="sha256 of the pickled file that was reviewed and may be loaded; a list, where "
        "model, reference and baseline are different ones",
    )
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    experiment: str = "audits"
    store: str | None = Field(
        default=None, description="folder (any fsspec path) for finished units; a cache by default"
    )

    @field_validator("trust_pickle_sha256", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if given is None:
            return ()
        # What a validator returns is no JSON any more, in which a list would do.
        return (given,) if isinstance(given, str) else tuple(given)

    @field_validator("checks")
    @classmethod
    def _names_differ(cls, checks: tuple[Check, ...]) -> tuple[Check, ...]:
        if not checks:
            raise ValueError("expected at least one check, got none")
        names = [check.name for check in checks]
        taken = {kind.model_fields["kind"].default for kind in check_classes()} | {"cost"}
        for check in checks:
            if check.label in taken - {check.kind}:
                raise ValueError(
                    f"a {check.kind} check must not be called {check.label!r}, which means another"
                )
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two checks are called {name!r}; give one of them a 'label'")
        return checks

    @model_validator(mode="after")
    def _conditions_have_checks(self) -> Self:
        names = [check.name for check in self.checks]
        for condition in self.policy.conditions:
            check = condition.metric.split("/")[0]
            if check not in names:
                raise ValueError(
                    f"the policy has a condition on {condition.metric!r}, but there is no check "
                    f"{check!r}; there are: {', '.join(names)}"
                )
        if self.policy.needs_baseline and self.baseline is None:
            raise ValueError(
                "the policy has a max_drop condition, but there is no baseline to compare with; "
                "name one under baseline"
            )
        return self

    def passes(self, images: int) -> int:
        """Images that go through the model in an audit of so many, at the least."""
        return sum(check.passes(min(images, check.images or images)) for check in self.checks)


def read_config(path: str | Path, **overrides: Any) -> AuditConfig:
    """The config in a YAML file; `overrides` replace its top-level keys.

    Raises AuditError, one line for each thing that is wrong.
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
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise AuditError(f"Expected YAML in {path}, got: {reason}") from error
    if not isinstance(data, dict):
        raise AuditError(f"Expected a mapping in {path}, got {type(data).__name__}.")
    return data


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping: the later one would win unseen."""

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
        lines = [f"{origin}: {_place(e['loc'])}{_message(e)}" for e in error.errors()]
        raise AuditError("\n".join(lines)) from None
    except (TypeError, ValueError) as error:
        raise AuditError(f"{origin}: expected plain YAML values, got: {error}") from error


def dump_config(config: AuditConfig) -> str:
    """The resolved config as YAML, every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _date(value: Any) -> str:
    """YAML reads a date as one; JSON has none."""
    if type(value) is date:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        close = closest_key(str(error["loc"][-1]))
        return "unknown key." + (f" Did you mean {close!r}?" if close else "")
    if error["type"] == "union_tag_invalid":
        kinds = error["ctx"]["expected_tags"]
        return f"unknown kind {error['ctx']['tag']!r}. Expected one of {kinds}."
    if error["type"] == "tuple_type" and isinstance(error["input"], str | int | float):
        return f"expected a list, got {error['input']!r}. Write [{error['input']}]."
    message: str = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("value_error", "missing") or isinstance(error.get("input"), dict):
        return message
    return f"{message}, got {error.get('input')!r}"
