"""From an audit's result to its metrics, pictures and files in MLflow, evidence.json first."""

import hashlib
import json

import pandas as pd

from audits.config.reading import dump_config
from audits.evidence.codec import SCHEMA_VERSION, figures_to_json, to_json
from audits.evidence.evidence import Evidence
from audits.report import contact_sheet
from audits.report.cards import class_table, sliders
from audits.report.strip import strip
from audits.tracking.audited import versions
from audits.tracking.deciding import deciding_metrics
from audits.tracking.pages import pages
from audits.tracking.parameters import parameters
from audits.tracking.past_pictures import FILE as PICTURES
from audits.tracking.past_pictures import pictures_file
from audits.tracking.spreadsheet import as_csv
from audits.tracking.upload import Payload
from audits.verdict.result import AuditResult


def payload_of(result: AuditResult) -> Payload:
    """Metrics, parameters, pictures and files of an audit's run."""
    model, verdict, evidence = result.model, result.verdict, result.evidence
    unisolated = ", without isolation" if result.config.isolation == "none" else ""
    title = f"{model}: {verdict.told}{unisolated}"
    headings = {check.name: check.plain_name for check in result.config.checks}
    sheet = contact_sheet.contact_sheet(evidence, title, result.evaluation.classes, headings)
    sheet_png = contact_sheet.png(sheet) if sheet else None
    files: dict[str, bytes] = {}
    if (table := _per_image(evidence)) is not None:
        files["predictions.parquet"] = table.to_parquet()
    if (shown := pictures_file(evidence)) is not None:
        files[PICTURES] = shown
    files |= {
        "evidence.json": _evidence_json(result, files),
        "audit.yaml": dump_config(result.config).encode(),
        **pages(result),
    }
    if sheet_png:
        files["contact_sheet.png"] = sheet_png
    if (worst := strip(evidence, result.evaluation.classes)) is not None:
        files["strip.png"] = contact_sheet.png(worst)
    files |= {
        f"{one.check}_{name}.csv": as_csv(table)
        for one in evidence
        for name, table in one.tables.items()
    }
    return Payload(
        result=result,
        metrics=deciding_metrics(result),
        parameters=parameters(result),
        cost={
            "cost/seconds": result.seconds,
            "cost/passes": float(sum(e.passes for e in evidence)),
        },
        pictures=sliders(evidence, result.evaluation.classes),
        classes=class_table(evidence, result.evaluation.classes),
        files=files,
    )


def _evidence_json(result: AuditResult, files: dict[str, bytes]) -> bytes:
    """The evidence as JSON, without times or run ids: the same audit gives the same bytes."""
    evaluation, baseline = result.evaluation, result.baseline
    content = {
        "schema_version": SCHEMA_VERSION,
        "digest": result.digest,
        "figures": result.inputs_digest,
        "model": {
            **vars(result.model),
            "digest": evaluation.model_digest,
            "loaded": evaluation.loaded,
            "files": dict(evaluation.model_files),
            "classes": evaluation.classes,
        },
        "reference": {"uri": result.config.reference, "digest": evaluation.reference_digest},
        "other_versions": [
            {"uri": uri, "digest": digest} for uri, digest in evaluation.version_digests.items()
        ],
        "baseline": {
            "uri": result.config.baseline,
            "figures": baseline.inputs_digest if baseline else None,
            "checks": [figures_to_json(one) for one in baseline.evidence] if baseline else [],
        },
        "data": {
            "name": result.data_name,
            "images": result.image_count,
            "digest": evaluation.data_digest,
            "skipped": evaluation.skipped,
            "drawn": result.drawn,
        },
        "config": result.config.model_dump(mode="json"),
        "setting": evaluation.setting,
        "input": [
            {"field": field, "value": value, "source": source}
            for field, value, source in evaluation.contract
        ],
        "questions": evaluation.questions,
        "doubts": evaluation.doubts,
        "versions": versions(),
        "notes": result.notes,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "checks": [to_json(evidence) for evidence in result.evidence],
        "verdict": {
            "word": result.verdict.word,
            "reason": result.verdict.reason,
            "not_covered": result.verdict.not_covered or None,
            "conditions": [judgement.to_json() for judgement in result.verdict.judgements],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False).encode()


def _per_image(evidence: tuple[Evidence, ...]) -> pd.DataFrame | None:
    tables = [e.images.add_prefix(f"{e.check}/") for e in evidence if e.images is not None]
    return pd.concat(tables, axis=1).sort_index() if tables else None
