"""run_audit: the whole story as a plain function."""

import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import pandas as pd

from audits import data, figures, registry
from audits.checks.base import Check, Unit
from audits.config import AuditConfig, dump_config
from audits.data import ImageSet
from audits.errors import AuditError, NotApplicable
from audits.evidence import SCHEMA_VERSION, Evidence, failed_evidence
from audits.record import Record, Recorder
from audits.registry import Resolved
from audits.report import report
from audits.session import Session
from audits.verdict import Verdict, decide
from audits.worker import WorkerFailure

log = logging.getLogger(__name__)

Measure = Callable[[Session, Check, Unit], None]
Conclude = Callable[[Session, Check], Evidence]


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

    Scripts need `if __name__ == "__main__":` around their call, since the model's process is
    spawned. Raises AuditError, with nothing recorded, where model or data are not found.
    """
    started = time.monotonic()
    model = registry.resolve(config.model)
    if config.reference is not None:  # an alias is resolved once
        config = config.model_copy(update={"reference": registry.resolve(config.reference).uri})
    images = data.load(config.data)
    with Recorder(model, config.experiment) as recorder:
        outcome = _examine(config, model, images, measure, conclude)
        if outcome.checks:
            config = config.model_copy(update={"checks": outcome.checks})
        verdict = decide(config.policy, outcome.evidence)
        if outcome.refusal:
            verdict = Verdict("undecided", outcome.refusal, verdict.judgements)
        seconds = time.monotonic() - started
        recorder.finish(_record(config, model, images, outcome, verdict, seconds))
    return AuditResult(
        model, verdict, outcome.evidence, outcome.digest, recorder.run_id, recorder.page, seconds
    )


@dataclass(frozen=True)
class _Outcome:
    evidence: tuple[Evidence, ...]
    checks: tuple[Check, ...] = ()  # with what depends on the images written out
    digest: str | None = None
    data_digest: str | None = None
    notes: tuple[str, ...] = ()
    setting: dict[str, object] | None = None
    model_digest: str | None = None
    reference_digest: str | None = None
    classes: tuple[str, ...] = ()
    refusal: str = ""


def _examine(
    config: AuditConfig, model: Resolved, images: ImageSet, measure: Measure, conclude: Conclude
) -> _Outcome:
    try:
        with Session(config, model, images) as session:
            evidence = tuple(
                _run_check(session, c, measure, conclude) for c in session.config.checks
            )
            return _Outcome(
                evidence,
                checks=session.config.checks,
                digest=session.digest,
                data_digest=session.data_digest,
                notes=session.notes,
                setting=session.engine,
                model_digest=session.files.digest,
                reference_digest=session.reference_digest,
                classes=session.images.classes,
            )
    except (AuditError, WorkerFailure) as error:
        detail = error.detail if isinstance(error, WorkerFailure) else ""
        reason = "the model could not be opened"
        failed = tuple(failed_evidence(c.name, "error", reason, detail) for c in config.checks)
        return _Outcome(failed, refusal=str(error))


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


def _record(
    config: AuditConfig,
    model: Resolved,
    images: ImageSet,
    outcome: _Outcome,
    verdict: Verdict,
    seconds: float,
) -> Record:
    title = f"{model}: {verdict.word}"
    sheet = figures.contact_sheet(outcome.evidence, title)
    sheet_png = figures.png(sheet) if sheet else None
    page = report(str(model), verdict, list(outcome.evidence), list(outcome.notes), sheet_png)
    files = {
        "evidence.json": _evidence_json(config, model, images, outcome, verdict),
        "audit.yaml": dump_config(config).encode(),
        "report.html": page.encode(),
    }
    if sheet_png:
        files["contact_sheet.png"] = sheet_png
    if (table := _per_image(outcome.evidence)) is not None:
        files["predictions.parquet"] = table.to_parquet()
    files |= {
        f"{evidence.check}_{name}.csv": table.to_csv(index=False).encode()
        for evidence in outcome.evidence
        for name, table in evidence.tables.items()
    }
    metrics = {
        name: estimate.value
        for evidence in outcome.evidence
        for name, estimate in evidence.named_metrics.items()
        if estimate.finite
    }
    pictures = [
        replace(picture, image=figures.enlarge(picture.image))
        for evidence in outcome.evidence
        for picture in evidence.pictures
    ]
    return Record(
        verdict=verdict,
        metrics=metrics,
        cost={
            "cost/seconds": seconds,
            "cost/passes": float(sum(e.passes for e in outcome.evidence)),
        },
        pictures=tuple(pictures),
        files=files,
        data_name=images.name,
        digest=outcome.digest,
        data_digest=outcome.data_digest,
    )


def _evidence_json(
    config: AuditConfig, model: Resolved, images: ImageSet, outcome: _Outcome, verdict: Verdict
) -> bytes:
    """The evidence as JSON, without times or run ids: the same audit gives the same bytes."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "digest": outcome.digest,
        "model": {**vars(model), "digest": outcome.model_digest, "classes": outcome.classes},
        "reference": {"uri": config.reference, "digest": outcome.reference_digest},
        "data": {"name": images.name, "images": len(images), "digest": outcome.data_digest},
        "config": config.model_dump(mode="json"),
        "setting": outcome.setting,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("fillblanks", "torch", "scikit-learn", "mlflow")},
        },
        "notes": outcome.notes,
        "checks": [evidence.to_json() for evidence in outcome.evidence],
        "verdict": {
            "word": verdict.word,
            "reason": verdict.reason,
            "conditions": [
                {"condition": str(j.condition), "outcome": j.outcome, "finding": j.finding}
                for j in verdict.judgements
            ],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False).encode()


def _per_image(evidence: tuple[Evidence, ...]) -> pd.DataFrame | None:
    tables = [e.images.add_prefix(f"{e.check}/") for e in evidence if e.images is not None]
    return pd.concat(tables, axis=1).sort_index() if tables else None
