"""Evaluation: what running all checks on one model gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audits.checks.base import Check
from audits.evidence.evidence import Evidence


@dataclass(frozen=True)
class Evaluation:
    """The evidence of one model, and what was measured to come by it.

    A model that could not be opened has a `refusal`, evidence with errors, and defaults for the
    rest.
    """

    evidence: tuple[Evidence, ...]
    checks: tuple[Check, ...] = ()  # with what depends on the images written out
    digest: str | None = None  # of the inputs
    data_digest: str | None = None
    notes: tuple[str, ...] = ()
    setting: dict[str, object] | None = None  # device and plans; None: nothing was run
    model_digest: str | None = None
    loaded: str | None = None  # sha256 of the archive that is written anew, and loaded
    model_files: Mapping[str, str] = field(default_factory=dict)  # sha256 by relative path
    reference_digest: str | None = None
    version_digests: Mapping[str, str] = field(default_factory=dict)  # by URI
    classes: tuple[str, ...] = ()
    preprocessing: dict[str, object] | None = None  # the input contract as plain values
    contract: tuple[tuple[str, str, str], ...] = ()  # its fields as (name, value, source)
    skipped: tuple[str, ...] = ()  # sentences about images that were left out
    questions: tuple[str, ...] = ()  # about fields that decide and that no source names
    doubts: tuple[str, ...] = ()  # why the model must not pass
    shape: tuple[int, ...] = ()  # of an image as the model takes it
    refusal: str = ""  # why the model could not be opened
