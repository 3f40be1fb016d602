"""run_audit: the whole story as a plain function."""

import time
from dataclasses import dataclass

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.imageset import ImageSet
from audits.evidence.evidence import Evidence
from audits.evidence.pairing import without_drops
from audits.execution.inputs import Subject
from audits.execution.session import Session
from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking import reader
from audits.tracking.payload import Findings, record_of
from audits.tracking.recorder import Recorder
from audits.tracking.tags import FIGURES_TAG
from audits.verdict.decide import Verdict, decide
from audits.workflows.baseline import compared
from audits.workflows.evaluate import Conclude, Examined, Measure, examine
from audits.workflows.resolved import audit_digest, baseline_config, pinned, today


@dataclass(frozen=True)
class AuditResult:
    """What an audit found and where it is recorded."""

    model: Resolved
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    digest: str | None  # None when the model could not be opened
    run_id: str
    page: str  # of the run, below the root of the MLflow UI
    seconds: float


def run_audit(
    config: AuditConfig,
    *,
    measure: Measure = Session.measure,
    conclude: Conclude = Session.conclude,
) -> AuditResult:
    """Audits one model and records evidence and verdict in MLflow, where its environment says.

    `measure` and `conclude` are called once a unit and once a check, so that a scheduler can wrap
    them. A model that cannot be opened or a check that fails is recorded with verdict `undecided`.
    A baseline is measured too, unless a verified audit of it with the same digest is in MLflow;
    nothing is recorded at the baseline.

    Scripts need `if __name__ == "__main__":` around their call, since the model's process is
    spawned. Raises AuditError, with nothing recorded, where model or data are not found.
    """
    started = time.monotonic()
    config = pinned(config)
    model = registry.resolve(config.model)
    images = sources.load(config.data)
    with Recorder(model, config.experiment) as recorder:
        examined = examine(config, model, images, measure, conclude)
        baseline = None
        notes = examined.notes
        if config.baseline is not None and not examined.refusal:
            baseline = _examine_baseline(config, images, measure, conclude)
            examined, reasons = compared(examined, baseline, config.preprocessing)
            notes += (f"Figures named _drop: how far below {config.baseline}.", *reasons)
            notes += tuple(f"The baseline: {note}" for note in baseline.notes)
        if examined.checks:
            config = config.model_copy(update={"checks": examined.checks})
        verdict = decide(config.policy, examined.evidence, today())
        if examined.refusal:
            verdict = Verdict("undecided", examined.refusal, verdict.judgements)
        digest = audit_digest(config, examined.digest, baseline.digest if baseline else None)
        found = Findings(config, model, images, examined, baseline, digest, notes, verdict)
        seconds = time.monotonic() - started
        recorder.finish(record_of(found, seconds))
    return AuditResult(
        model, verdict, examined.evidence, digest, recorder.run_id, recorder.page, seconds
    )


def _examine_baseline(
    config: AuditConfig, images: ImageSet, measure: Measure, conclude: Conclude
) -> Examined:
    own = baseline_config(config)
    model = registry.resolve(own.model)

    def known(subject: Subject) -> list[Evidence] | None:
        found = reader.find(own.experiment, **{FIGURES_TAG: subject.digest})
        return [without_drops(one) for one in found.evidence] if found else None

    return examine(own, model, images, measure, conclude, known)
