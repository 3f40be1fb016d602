"""Finds past audits among the runs of an experiment: by tags, and newer ones of a model."""

import logging
import time
from collections.abc import Iterator

import mlflow
from mlflow.entities import Run

from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking.reader import NotVerified, PastAudit, read
from audits.tracking.tags import HASH_TAG, MODEL_TAG, REFUSED_TAG, VERDICT_TAG

log = logging.getLogger(__name__)

_PAGE = 100  # runs
_AHEAD_MS = 60_000  # by which clocks of two machines may differ


def find(experiment: str, **tags: str) -> PastAudit | None:
    """The newest whole audit with these tags that can be verified, or None."""
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    runs = client.search_runs(
        [found.experiment_id],
        " and ".join([*wanted, "attributes.status = 'FINISHED'"]),
        order_by=["attributes.start_time DESC"],
    )
    for run in runs:
        try:
            audit = read(run)
        except NotVerified as error:
            log.warning("Run %s is not used: %s", run.info.run_id, error)
            continue
        if audit.whole:
            return audit
    return None


def newer(audit: PastAudit) -> str | None:
    """That another run of the same model in the same experiment is newer, in words; else None.

    Whoever can write a version's tags may put an older verdict back. Not counted are runs that
    were ended by a later audit before they had recorded anything.
    """
    runs = _runs_of(audit.content.model.uri, audit.experiment_id)
    newest = next((run for run in runs if not _is_empty(run)), None)
    if newest is None or newest.info.run_id == audit.run_id:
        return None
    told = f"run {newest.info.run_id} is newer"
    if newest.info.start_time <= time.time() * 1000 + _AHEAD_MS:
        return told
    return (
        f"{told}: it begins in the future, so it was made by a machine whose clock was ahead. "
        f"Delete it in MLflow (mlflow runs delete --run-id {newest.info.run_id})"
    )


def _is_empty(run: Run) -> bool:
    """Whether a later audit ended it before it had a verdict, evidence or a refusal."""
    tags = run.data.tags
    return run.info.status == "KILLED" and not tags.keys() & {HASH_TAG, REFUSED_TAG}


def has_passed(model: Resolved, experiment_id: str) -> bool:
    """Whether the tags of any run of the experiment say that an audit of the model has passed."""
    passed = f" and tags.`{VERDICT_TAG}` = 'passed'"
    return any(True for _ in _runs_of(model.uri, experiment_id, passed))


def _runs_of(uri: str, experiment_id: str, rest: str = "") -> Iterator[Run]:
    """A model's runs, the newest first; `rest` goes on the filter."""
    runs = registry.results(
        mlflow.MlflowClient().search_runs,
        experiment_ids=[experiment_id],
        filter_string=registry.matching(f"tags.`{MODEL_TAG}`", uri) + rest,
        max_results=_PAGE,
        order_by=["attributes.start_time DESC"],
    )
    # The filter may let runs of other models through.
    return (run for run in runs if run.data.tags.get(MODEL_TAG) == uri)
