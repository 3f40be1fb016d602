"""The history of a model: all of its audits in MLflow."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import mlflow
from mlflow.entities import Run

from audits.errors import AuditError
from audits.models import registry, server
from audits.tracking.tags import ALIASES_TAG, MODEL_TAG, REASON_TAG, VERDICT_TAG


@dataclass(frozen=True)
class Entry:
    """One audit, from the tags of its run."""

    version: str
    aliases: tuple[str, ...]  # of the version when the audit began
    verdict: str  # or "running", "killed"
    reason: str  # the conditions that decided, and their figures
    began_at: str  # ISO 8601, UTC
    run_id: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def history(name: str, experiment: str) -> list[Entry]:
    """Audits of all versions of a registered model, newest first.

    Raises AuditError if there are none, or if MLflow does not answer.
    """
    server.expect_registry()
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise AuditError(f"Expected an experiment {experiment!r} in MLflow, found none.")
    prefix = f"models:/{name}/"
    runs = registry.all_pages(
        client.search_runs,
        experiment_ids=[found.experiment_id],
        filter_string=registry.matching(f"tags.`{MODEL_TAG}`", prefix, begins=True),
        order_by=["attributes.start_time DESC"],
    )
    # In LIKE, an underscore stands for any character.
    entries = [_entry(run) for run in runs if run.data.tags[MODEL_TAG].startswith(prefix)]
    if not entries:
        raise AuditError(f"Expected audits of {name!r} in {experiment!r}, found none.")
    return entries


def _entry(run: Run) -> Entry:
    tags, info = run.data.tags, run.info
    status = info.status.lower()
    began = datetime.fromtimestamp(info.start_time / 1000, UTC)
    return Entry(
        version=tags[MODEL_TAG].rsplit("/", 1)[-1],
        aliases=tuple(json.loads(tags.get(ALIASES_TAG, "[]"))),
        verdict=status if status in ("running", "killed") else tags.get(VERDICT_TAG, status),
        reason=tags.get(REASON_TAG, ""),
        began_at=began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        run_id=info.run_id,
    )
