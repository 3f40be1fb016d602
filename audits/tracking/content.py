"""Content: the evidence.json of a past audit, read within bounds and into types.

Whoever writes to MLflow writes such files, so no other code looks into the JSON itself.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from audits.checks.base import Check
from audits.config.isolation import Isolation
from audits.config.policy import Policy
from audits.config.reading import parse_checks, parse_policy
from audits.evidence import migrations
from audits.verdict.judgement import Outcome
from audits.verdict.words import Word

_DEPTH = 50
_LARGEST = 1e30  # of numbers: products of a few stay finite
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors that damaged or crafted evidence raises when it is read."""

Seed = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Read(BaseModel):
    """A mapping of which the fields are needed; an older or newer release may write others."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class AuditedModel(_Read):
    """The model that was audited."""

    uri: str
    classes: tuple[str, ...]  # in the order of the logits
    files: dict[str, str] | None = None  # sha256 by relative path; None in older evidence


class AuditedData(_Read):
    """The images that were audited."""

    name: str
    images: int
    digest: str | None  # None for a model that could not be opened
    skipped: tuple[str, ...]  # sentences about images that were left out
    drawn: bool = False  # whether they are a secret sample


class AuditedBaseline(_Read):
    """The figures of the baseline."""

    checks: tuple[dict[str, Any], ...]  # as `audits.evidence.codec.figures_to_json` writes them


class DataSettings(_Read):
    """`data` of the config."""

    model_config = ConfigDict(extra="allow")

    kind: str
    sample: int | None = None
    sample_seed: Seed | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """All keys with plain values."""
        return self.model_dump()


class Settings(_Read):
    """The config of the audit. It may name checks and conditions that are refused today."""

    data: DataSettings
    checks: tuple[dict[str, Any], ...]
    policy: dict[str, Any]
    preprocessing: dict[str, Any]
    engine: dict[str, Any]
    reference: str | None
    versions: tuple[str, ...] = ()  # of the model; older audits had none
    seed: Seed
    isolation: Isolation = "process"  # older audits had a cell

    @property
    def known_checks(self) -> dict[str, Check]:
        """The checks by name, without those that are not installed."""
        return parse_checks(self.checks)

    @property
    def parsed_policy(self) -> Policy:
        """The policy. Raises AuditError if it is refused today."""
        return parse_policy(self.policy, "the recorded policy")


class Judged(_Read):
    """The outcome of a condition."""

    condition: str
    outcome: Outcome
    finding: str = ""
    waiver: dict[str, Any] | None


class Decided(_Read):
    """The verdict."""

    word: Word
    reason: str = ""
    not_covered: str | None = None  # older evidence lacks it
    conditions: tuple[Judged, ...]


class Content(_Read):
    """The content of an evidence.json in the schema of today."""

    schema_version: Literal[4]
    digest: str | None  # None for a model that could not be opened
    figures: str | None
    model: AuditedModel
    baseline: AuditedBaseline
    data: AuditedData
    config: Settings
    questions: tuple[str, ...]  # about facts of the model's input that nobody had named
    doubts: tuple[str, ...] = ()  # why the model must not pass; older evidence lacks it
    files: dict[str, str]  # sha256 by name
    checks: tuple[dict[str, Any], ...]  # as `audits.evidence.codec` writes them
    verdict: Decided


def content_of(raw: bytes) -> tuple[Content, bool]:
    """The content of an evidence.json, and whether it had to be upgraded from an older schema.

    Raises one of `UNREADABLE` for content of another shape or beyond the bounds.
    """
    said = json.loads(raw)
    _expect_bounded(said)
    upgraded = migrations.upgraded(said)
    # By way of JSON, from which a strict model takes lists as tuples.
    return Content.model_validate_json(json.dumps(upgraded)), upgraded is not said


def _expect_bounded(value: Any) -> None:
    """Raises ValueError for values too deep, and for numbers with which nothing can be computed."""
    level = [value]
    for _ in range(_DEPTH):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inside += one.values()
            elif isinstance(one, list):
                inside += one
            elif isinstance(one, int | float) and not -_LARGEST <= one <= _LARGEST:
                raise ValueError(f"expected numbers up to {_LARGEST:g}, got a larger one or none")
        if not inside:
            return
        level = inside
    raise ValueError(f"expected at most {_DEPTH} levels, got more")
