"""What an audit puts into MLflow: metrics, pictures, and its files, evidence.json first."""

import hashlib
import json
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version

import pandas as pd

from audits.config.audit import AuditConfig
from audits.config.reading import dump_config
from audits.data.imageset import ImageSet
from audits.evidence.codec import SCHEMA_VERSION, to_json
from audits.evidence.evidence import Evidence
from audits.models.registry import Resolved
from audits.report import contact_sheet
from audits.report.html import report
from audits.tracking.upload import Record
from audits.verdict.decide import Verdict
from audits.workflows.evaluate import Examined


@dataclass(frozen=True)
class Findings:
    """All that one audit found out, of the model and of its baseline."""

    config: AuditConfig
    model: Resolved
    images: ImageSet
    examined: Examined
    baseline: Examined | None
    digest: str | None  # of figures, baseline and policy
    notes: tuple[str, ...]
    verdict: Verdict


def record_of(found: Findings, seconds: float) -> Record:
    """What goes to MLflow of an audit that took so long."""
    model, verdict, evidence = found.model, found.verdict, found.examined.evidence
    title = f"{model}: {verdict.word}"
    sheet = contact_sheet.contact_sheet(evidence, title)
    sheet_png = contact_sheet.png(sheet) if sheet else None
    page = report(str(model), verdict, list(evidence), list(found.notes), sheet_png)
    files: dict[str, bytes] = {}
    if (table := _per_image(evidence)) is not None:
        files["predictions.parquet"] = table.to_parquet()
    files |= {
        "evidence.json": _evidence_json(found, files),
        "audit.yaml": dump_config(found.config).encode(),
        "report.html": page.encode(),
    }
    if sheet_png:
        files["contact_sheet.png"] = sheet_png
    files |= {
        f"{one.check}_{name}.csv": table.to_csv(index=False).encode()
        for one in evidence
        for name, table in one.tables.items()
    }
    metrics = {
        name: estimate.value
        for one in evidence
        for name, estimate in one.named_estimates.items()
        if estimate.finite
    }
    pictures = [
        replace(picture, image=contact_sheet.enlarge(picture.image))
        for one in evidence
        for picture in one.pictures
    ]
    return Record(
        verdict=verdict,
        metrics=metrics,
        cost={
            "cost/seconds": seconds,
            "cost/passes": float(sum(e.passes for e in evidence)),
        },
        pictures=tuple(pictures),
        files=files,
        data_name=found.images.name,
        digest=found.digest,
        figures=found.examined.digest,
        data_digest=found.examined.data_digest,
    )


def _evidence_json(found: Findings, files: dict[str, bytes]) -> bytes:
    """The evidence as JSON, without times or run ids: the same audit gives the same bytes."""
    examined, baseline = found.examined, found.baseline
    content = {
        "schema_version": SCHEMA_VERSION,
        "digest": found.digest,
        "figures": examined.digest,
        "model": {
            **vars(found.model),
            "digest": examined.model_digest,
            "classes": examined.classes,
        },
        "reference": {"uri": found.config.reference, "digest": examined.reference_digest},
        "baseline": {
            "uri": found.config.baseline,
            "figures": baseline.digest if baseline else None,
            "checks": [_figures_json(one) for one in baseline.evidence] if baseline else [],
        },
        "data": {
            "name": found.images.name,
            "images": len(found.images),
            "digest": examined.data_digest,
        },
        "config": found.config.model_dump(mode="json"),
        "setting": examined.setting,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("fillblanks", "torch", "scikit-learn", "mlflow")},
        },
        "notes": found.notes,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "checks": [to_json(evidence) for evidence in examined.evidence],
        "verdict": {
            "word": found.verdict.word,
            "reason": found.verdict.reason,
            "conditions": [judgement.to_json() for judgement in found.verdict.judgements],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False).encode()


def _figures_json(evidence: Evidence) -> dict[str, object]:
    names = ("check", "status", "reason", "metrics")
    return {name: value for name, value in to_json(evidence).items() if name in names}


def _per_image(evidence: tuple[Evidence, ...]) -> pd.DataFrame | None:
    tables = [e.images.add_prefix(f"{e.check}/") for e in evidence if e.images is not None]
    return pd.concat(tables, axis=1).sort_index() if tables else None
