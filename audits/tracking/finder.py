"""Finds past audits among the runs of an experiment: by tags, and newer ones of a model."""

import logging

import mlflow

from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking.reader import NotVerified, PastAudit, read
from audits.tracking.tags import MODEL_TAG, VERDICT_TAG

log = logging.getLogger(__name__)

_PAGE = 100  # runs


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
    """The id of the newest run of the same model in the same experiment, if that is another one.

    Whoever can write a version's tags may put an older verdict back.
    """
    runs = _runs_of(audit.content.model.uri, audit.experiment_id)
    return runs[0] if runs and runs[0] != audit.run_id else None


def has_passed(model: Resolved, experiment_id: str) -> bool:
    """Whether the tags of any run of the experiment say that an audit of the model has passed."""
    return bool(_runs_of(model.uri, experiment_id, f" and tags.`{VERDICT_TAG}` = 'passed'"))


def _runs_of(uri: str, experiment_id: str, rest: str = "") -> list[str]:
    """The ids of a model's runs, the newest first; `rest` goes on the filter."""
    runs = registry.all_pages(
        mlflow.MlflowClient().search_runs,
        experiment_ids=[experiment_id],
        filter_string=registry.matching(f"tags.`{MODEL_TAG}`", uri) + rest,
        max_results=_PAGE,
        order_by=["attributes.start_time DESC"],
    )
    # The filter may let runs of other models through.
    return [str(one.info.run_id) for one in runs if one.data.tags.get(MODEL_TAG) == uri]
