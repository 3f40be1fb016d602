"""From an audit's result to what its report says beside verdict and evidence."""

import platform
import re
import shlex
from datetime import UTC, datetime
from importlib.metadata import version

import mlflow

from audits.config.reading import dump_config
from audits.report.audited import Audited, BaselineShown, OtherPage
from audits.tracking.parameters import policy_digest
from audits.verdict.result import AuditResult

UI = "http://127.0.0.1:5000/"
"""Where `mlflow ui` answers, unless it is told otherwise."""


def audited_of(result: AuditResult, other: OtherPage | None = None) -> Audited:
    """Model, data, run and settings of an audit, for its report.

    `other` is the page that this one links to.
    """
    evaluation, baseline = result.evaluation, result.baseline
    return Audited(
        title=str(result.model),
        uri=result.model.uri,
        date=datetime.now(UTC).date().isoformat(),
        data=result.data_name,
        images=result.image_count,
        run_id=result.run_id,
        run_url=page_url(mlflow.get_tracking_uri(), result.page),
        without_isolation=result.config.isolation == "none",
        classes=evaluation.classes,
        baseline=BaselineShown(baseline.model.uri, baseline.evidence, baseline.evaluation.classes)
        if baseline
        else None,
        other=other,
        checks=result.config.checks,
        notes=result.notes,
        left_out=evaluation.skipped,
        contract=evaluation.contract,
        config=dump_config(result.config),
        repeat=_repeat(result),
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the figures."""
    names = ("fillblanks", "torch", "scikit-learn", "mlflow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def page_url(tracking_uri: str, page: str) -> str:
    """The address of a page of the MLflow UI, without user and password; "" if there is none."""
    if not tracking_uri.startswith(("http://", "https://")):
        return ""
    return f"{without_secrets(tracking_uri).rstrip('/')}/{page}"


def ui_command(tracking_uri: str) -> str:
    """The command that serves the MLflow UI of a database or folder; "" if a server does."""
    if tracking_uri.startswith(("http", "databricks")):
        return ""
    return f"mlflow ui --backend-store-uri {shlex.quote(without_secrets(tracking_uri))}"


def without_secrets(uri: str) -> str:
    """The URI without user, password, query and fragment; of one that has none, the URI."""
    scheme, mark, rest = re.split(r"[?#]", uri)[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def _repeat(result: AuditResult) -> tuple[tuple[str, str], ...]:
    evaluation = result.evaluation
    digests = {
        "model": result.model.uri,
        "digest of model": evaluation.model_digest,
        "digest of data": evaluation.data_digest,
        "digest of reference": evaluation.reference_digest,
        **{f"digest of {uri}": one for uri, one in evaluation.version_digests.items()},
        "digest of policy": policy_digest(result),
        "digest of all that decides the figures": result.inputs_digest,
        "digest of all that decides the verdict": result.digest,
        "run": result.run_id,
    }
    setting = {name: str(value) for name, value in (evaluation.setting or {}).items()}
    found = {**versions(), **digests, **setting}
    return tuple((name, value) for name, value in found.items() if value)
