"""The report of an audit in MLflow, and an index page of a registry, both verified and safe."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

import mlflow
from mlflow.entities.model_registry import ModelVersion
from PIL import Image

from audits.config.audit import EXPERIMENT
from audits.errors import AuditError
from audits.models import registry, server
from audits.report.answer import answer
from audits.report.html import linked, made_safe
from audits.report.index import Indexed, Past, index
from audits.report.markdown import BASELINE_REPORT, REPORT
from audits.report.pictures import data_uri
from audits.tracking import reader
from audits.tracking.audited import page_url, without_secrets
from audits.tracking.past_verdict import verdict_of
from audits.tracking.reader import NotVerified, PastAudit
from audits.tracking.tags import BASELINE_REPORT_TAG, OLD_TAG, REPORT_TAG, RUN_TAG
from audits.workflows.compare import audit_of

_AT_ONCE = 8  # questions to MLflow
_VERSIONS = 10  # of a model, in its trend
_THUMBNAIL = (400, 260)
_MOST_PIXELS = 50_000_000  # of a contact sheet
_SHEET_BYTES = 4 * _MOST_PIXELS
_PAGE_BYTES = 256 << 20  # of a report, with its pictures


def reports_of(
    name: str, file: str, baseline_file: str, experiment: str = EXPERIMENT
) -> dict[str, str]:
    """The report of a run id, or of the standing audit of a model's URI, by its file's name.

    If the audit has a baseline, its page too, and the two link to each other by the names of the
    files. The evidence is verified, and pages must be those that the audit wrote. Raises
    AuditError.
    """
    audit = audit_of(name, experiment)
    tags = mlflow.get_run(audit.run_id).data.tags
    if REPORT_TAG not in tags:
        raise AuditError(
            f"Expected a run with the hash of its report, got {audit.run_id} of an older release. "
            "Audit the version again, or open report.html in the MLflow UI."
        )
    try:
        own = _page(audit.run_id, REPORT, tags[REPORT_TAG])
        if (wanted := tags.get(BASELINE_REPORT_TAG)) is None:
            return {file: own}
        other = _page(audit.run_id, BASELINE_REPORT, wanted)
    except (NotVerified, ValueError) as error:
        raise AuditError(
            f"Expected the report that audit {audit.run_id} wrote, but {error}. Audit the version "
            "again."
        ) from error
    return {file: linked(own, baseline_file), baseline_file: linked(other, file)}


def _page(run_id: str, name: str, wanted: str) -> str:
    raw = reader.artifact(run_id, name, _PAGE_BYTES)
    if hashlib.sha256(raw).hexdigest() != wanted:
        raise NotVerified(f"its {name} is not the one that was logged")
    return made_safe(raw.decode())


def index_of_registry(experiment: str = EXPERIMENT) -> str:
    """The index page of all registered models: those with audits in an experiment, and the rest."""
    server.expect_registry()
    standing = partial(_standing, reader.id_of(experiment))
    found, without = [], []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, versions in groupby(registry.all_versions(), key=lambda one: one.name):
            audited = [one for one in versions if {RUN_TAG, OLD_TAG} & one.tags.keys()]
            shown = audited[-_VERSIONS:]
            audits = list(pool.map(standing, shown))
            model = _indexed(name, shown, audits, len(audited) - len(shown))
            if model is None:
                without.append(name)
            else:
                found.append(model)
    place = without_secrets(mlflow.get_registry_uri())
    return index(found, without, place, datetime.now(UTC).date().isoformat())


def _standing(experiment_id: str | None, version: ModelVersion) -> PastAudit | None:
    return reader.standing_by_tags(registry.pinned(version), version.tags, experiment_id)


def _indexed(
    name: str, versions: Sequence[ModelVersion], audits: Sequence[PastAudit | None], left: int
) -> Indexed | None:
    """The row of a model; None if none of its audits can be verified."""
    pairs = list(zip(versions, audits, strict=True))
    known = [(str(version.version), audit) for version, audit in pairs if audit is not None]
    if not known:
        return None
    _, newest = known[-1]
    return Indexed(
        name,
        answer(verdict_of(newest), newest.evidence),
        [Past(number, audit.word, audit.evidence) for number, audit in known],
        left,
        [str(version.version) for version, audit in pairs if audit is None],
        _thumbnail(newest.run_id),
        page_url(mlflow.get_tracking_uri(), newest.page),
        newest.run_id,
    )


def _thumbnail(run_id: str) -> str:
    """The contact sheet of a run, made small, as a data URI; "" if the run has none."""
    try:
        raw = reader.artifact(run_id, "contact_sheet.png", _SHEET_BYTES)
    except NotVerified:
        return ""
    try:
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as sheet:
            if sheet.width * sheet.height > _MOST_PIXELS:
                return ""
            small = sheet.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # not a whole PNG
        return ""
    small.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
    return data_uri(small)
