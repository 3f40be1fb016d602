"""Examining one model: every check is measured and concluded, whatever becomes of the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audits.checks.base import Check
from audits.checks.context import Unit
from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.errors import AuditError, NotApplicable
from audits.evidence.evidence import Evidence, failed_evidence
from audits.execution.inputs import Subject
from audits.execution.session import Session
from audits.execution.worker import WorkerFailure
from audits.models.registry import Resolved

Measure = Callable[[Session, Check, Unit], None]
Conclude = Callable[[Session, Check], Evidence]
Known = Callable[[Subject], Sequence[Evidence] | None]


@dataclass(frozen=True)
class Examined:
    """What examining one model gave."""

    evidence: tuple[Evidence, ...]
    checks: tuple[Check, ...] = ()  # with what depends on the images written out
    digest: str | None = None  # of the subject; None where the model could not be opened
    data_digest: str | None = None
    notes: tuple[str, ...] = ()
    setting: dict[str, object] | None = None
    model_digest: str | None = None
    reference_digest: str | None = None
    classes: tuple[str, ...] = ()
    preprocessing: dict[str, object] | None = None
    shape: tuple[int, ...] = ()  # of an image as the model takes it
    refusal: str = ""  # why the model could not be opened


def examine(
    config: AuditConfig,
    model: Resolved,
    images: ImageSet,
    measure: Measure,
    conclude: Conclude,
    known: Known = lambda subject: None,
) -> Examined:
    """Evidence of every check; of a model that cannot be opened, why it could not.

    What `known` has of the subject is taken instead.
    """
    try:
        with Subject(config, model, images) as subject:
            found = known(subject)
            if found is not None:
                return _examined(subject, found, subject.notes)
            with Session(subject) as session:
                checks = session.config.checks
                evidence = [_run_check(session, c, measure, conclude) for c in checks]
                return _examined(subject, evidence, session.notes, session.engine)
    except (AuditError, WorkerFailure) as error:
        detail = error.detail if isinstance(error, WorkerFailure) else ""
        reason = "the model could not be opened"
        failed = tuple(failed_evidence(c.name, "error", reason, detail) for c in config.checks)
        return Examined(failed, refusal=str(error))


def _examined(
    subject: Subject,
    evidence: Sequence[Evidence],
    notes: tuple[str, ...],
    setting: dict[str, object] | None = None,
) -> Examined:
    return Examined(
        tuple(evidence),
        checks=subject.config.checks,
        digest=subject.digest,
        data_digest=subject.data_digest,
        notes=notes,
        setting=setting,
        model_digest=subject.files.digest,
        reference_digest=subject.reference_digest,
        classes=subject.images.classes,
        preprocessing=subject.preprocessing,
        shape=subject.shape,
    )


def _run_check(session: Session, check: Check, measure: Measure, conclude: Conclude) -> Evidence:
    """The check's evidence; what goes wrong in it is its evidence too."""
    where = ""
    try:
        for unit in session.units(check):
            where = f"{unit}: "
            measure(session, check, unit)
        where = ""
        return conclude(session, check)
    except NotApplicable as error:
        return failed_evidence(check.name, "not_applicable", str(error))
    except AuditError as error:
        return failed_evidence(check.name, "error", f"{where}{error}")
    except WorkerFailure as error:
        return failed_evidence(check.name, "error", f"{where}{error.reason}", error.detail)
