"""Evaluating one model: every check is measured and concluded, also if another one fails."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from audits.checks.base import Check
from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.errors import AuditError, Contradicted, NotApplicable
from audits.evidence.declaration import differences
from audits.evidence.evidence import Evidence, failed_evidence
from audits.evidence.metric import Metric
from audits.execution import child
from audits.execution.asking_again import Again
from audits.execution.evaluation import Evaluation
from audits.execution.executors import Executor
from audits.execution.inputs import AuditInputs
from audits.execution.refusals import Memory, Refusal, StoreMemory, expect_not_refused
from audits.execution.session import Session
from audits.execution.store import Store
from audits.execution.worker import Worker, WorkerFailure
from audits.models.registry import Resolved

log = logging.getLogger(__name__)
_OPENING = "a look at the opening"  # in the place of a check's name

Known = Callable[[AuditInputs], Sequence[Evidence] | None]
Caught = Callable[[str, Contradicted | str], None]


def evaluate(
    config: AuditConfig,
    model: Resolved,
    images: ImageSet,
    worker: Worker,
    executor: Executor,
    known: Known = lambda inputs: None,
    told: Sequence[str] | None = None,
    memories: Sequence[Memory] = (),
) -> Evaluation:
    """Evidence of every check; if the model cannot be opened, the reason.

    A model that contradicts itself is remembered in the store and in `memories`, and not opened
    again if one of them knows it.

    If `known` has evidence for the inputs, that is taken and nothing is run. `told` are notes that
    were printed for the model whose baseline this one is; they are not printed again.
    """
    try:
        with AuditInputs(config, model, images) as inputs:
            every = (StoreMemory(Store(inputs.config.store)), *memories)
            expect_not_refused(inputs.files.digest, every)
            found = known(inputs)
            if found is not None:
                return _evaluation(inputs, found, inputs.notes)

            def caught(check: str, error: Contradicted | str) -> None:
                _remember(inputs.files.digest, Refusal.today(check, error), every)

            with _opened(Session(inputs, worker), caught) as session:
                _print_notes(session.notes, told)
                checks = session.config.checks
                evidence = [_run_check(session, check, executor, caught) for check in checks]
                asked = _asked_again(session, evidence, caught)
                doubts = session.setting.doubts(check.needs for check in session.config.checks)
                notes, engine = session.notes, session.engine
                return _evaluation(inputs, evidence, notes, engine, asked, doubts)
    except (AuditError, WorkerFailure) as error:
        detail = error.detail if isinstance(error, WorkerFailure) else ""
        reason = "the model could not be opened"
        failed = tuple(failed_evidence(c.name, "error", reason, detail) for c in config.checks)
        return Evaluation(failed, refusal=str(error))


@contextmanager
def _opened(session: Session, caught: Caught) -> Iterator[Session]:
    """The session, entered. `caught` is told if the model contradicts itself meanwhile."""
    with ExitStack() as stack:
        try:
            stack.enter_context(session)
        except Contradicted as error:
            caught(_OPENING, error)
            raise
        yield session


def _print_notes(notes: Sequence[str], told: Sequence[str] | None) -> None:
    for note in notes:
        if told is None:
            log.warning(note)
        elif note not in told:
            log.warning("The baseline: %s", note)


def _evaluation(
    inputs: AuditInputs,
    evidence: Sequence[Evidence],
    notes: tuple[str, ...],
    setting: dict[str, object] | None = None,
    asked: tuple[str, ...] = (),
    doubts: tuple[str, ...] = (),
) -> Evaluation:
    return Evaluation(
        tuple(evidence),
        checks=inputs.config.checks,
        digest=inputs.digest,
        data_digest=inputs.data_digest,
        notes=notes,
        setting=setting,
        model_digest=inputs.files.digest,
        loaded=inputs.files.loaded,
        model_files=inputs.files.sha256,
        reference_digest=inputs.reference_digest,
        version_digests=inputs.version_digests,
        classes=inputs.images.classes,
        preprocessing=inputs.preprocessing,
        contract=tuple(inputs.files.contract.rows()),
        questions=(*inputs.questions, *asked),
        doubts=doubts,
        skipped=inputs.images.scan.told_in_verdict,
        shape=inputs.shape,
    )


def _remember(digest: str, refusal: Refusal, memories: Sequence[Memory]) -> None:
    """Tells all memories, also if one of them cannot be reached; then raises its error."""
    with ExitStack() as told:
        for memory in memories:
            told.callback(memory.add, digest, refusal)


def _asked_again(session: Session, evidence: Sequence[Evidence], caught: Caught) -> tuple[str, ...]:
    """A question if the model answers otherwise at the end of the audit than at its beginning."""
    if any(one.status == "error" for one in evidence):
        return ()  # there is no verdict to protect
    try:
        found: Again = session.ask(child.asked_again, gives=Again)
    except Contradicted as error:
        question = str(error)
    except (AuditError, WorkerFailure) as error:
        return (f"The model could not be asked again at the end of the audit: {error}",)
    else:
        question = found.question
    if question:
        caught("a look at the end", question)
    return (question,) if question else ()


def _run_check(session: Session, check: Check, executor: Executor, caught: Caught) -> Evidence:
    """The check's evidence; what goes wrong in it is its evidence too.

    `caught` is told if the model contradicted itself.
    """
    try:
        if lacking := session.setting.lacks(check.needs):
            raise NotApplicable(lacking)
        executor.map_units(session, check, session.units(check))
        evidence = executor.conclude(session, check)
        _expect_declared(evidence, session.config.declared[check.name])
        return evidence
    except NotApplicable as error:
        return failed_evidence(check.name, "not_applicable", str(error))
    except Contradicted as error:
        caught(check.name, error)
        return failed_evidence(check.name, "error", str(error))
    except AuditError as error:
        return failed_evidence(check.name, "error", str(error))
    except WorkerFailure as error:
        return failed_evidence(check.name, "error", error.reason, error.detail)


def _expect_declared(evidence: Evidence, declared: Mapping[str, Metric]) -> None:
    """Raises AuditError if a check gave other metrics than it declared: policies rely on those."""
    if evidence.status == "ok" and (found := differences(declared, evidence.metrics)):
        raise AuditError(
            f"Expected the metrics that {evidence.check} declares, but {'; '.join(found)}. Mend "
            "declared_metrics or conclude of the check."
        )
