"""What the process of a model has sent becomes parts and evidence, here in the auditing process."""

import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import mistake, unlike
from audits.errors import AuditError, shortened
from audits.evidence.codec import Part, to_part
from audits.evidence.evidence import Evidence, Picture
from audits.execution.wire import has_plain_text
from audits.execution.worker import WorkerFailure

_LONGEST = 300  # characters of a reason


def checked_part(value: Any, check: Check, audit: AuditContext, unit: Unit) -> Part:
    """The part of a unit. Raises WorkerFailure if it is not as the check's parts are."""
    part = _arrays(value, check)
    if reason := mistake(part, check.part_form(audit, unit), audit, unit):
        raise WorkerFailure(f"the model's process sent a part of {check.name} with {reason}")
    return part


def checked_answers(value: Any, check: Check, audit: AuditContext, parts: Sequence[Part]) -> Part:
    """What a check's `ask` gave. Raises WorkerFailure if it is not as the check says."""
    part, forms = _arrays(value, check), check.ask_form(audit, parts)
    if forms is not None and (reason := unlike(part, forms)):
        raise WorkerFailure(f"the model's process sent answers of {check.name} with {reason}")
    return part


def _arrays(value: Any, check: Check) -> Part:
    if isinstance(value, dict) and all(isinstance(array, np.ndarray) for array in value.values()):
        if not has_plain_text(list(value)):
            raise WorkerFailure(f"the model's process sent names in {check.name} that are no names")
        return value
    raise WorkerFailure(f"the model's process sent no arrays as a part of {check.name}")


def concluded(check: Check, audit: AuditContext, parts: Sequence[Part]) -> Part:
    """The evidence of a check, encoded by `to_part`.

    Raises AuditError as the check raised it, and WorkerFailure, which names the check, if that
    raised anything else or gave no proper evidence.
    """
    try:
        evidence = check.conclude(audit, parts)
    except AuditError:
        raise
    except Exception as error:  # of a check of another package, or parts that fit badly together
        reason = shortened(f"{type(error).__name__}: {error}", _LONGEST)
        raise WorkerFailure(reason, traceback.format_exc()) from error
    if not isinstance(evidence, Evidence):
        raise WorkerFailure(
            f"Expected Evidence from conclude of {check.name}, got {type(evidence).__name__}."
        )
    try:
        for picture in (*evidence.pictures, *evidence.examples):
            _expect_picture(picture)
        return to_part(evidence)
    except Exception as error:  # whatever another package's check has put in there
        raise WorkerFailure(
            f"Expected evidence of {check.name} that can be written down, got "
            f"{type(error).__name__}: {shortened(error, _LONGEST)}. Give numbers and text of "
            "Python's own types, and arrays as pictures."
        ) from error


def _expect_picture(picture: Picture) -> None:
    image = picture.image
    if not isinstance(image, np.ndarray):
        raise TypeError(f"Expected an array as picture {picture.key!r}, got {type(image).__name__}")
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(
            f"Expected uint8 (H, W) or (H, W, 3) as picture {picture.key!r}, got {image.dtype} "
            f"{image.shape}"
        )
