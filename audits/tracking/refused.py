"""Refusals that the runs of an experiment remember, so that a fresh store forgets none.

The tag of a run decides nothing for a model, only against it: it need not be verified.
"""

from datetime import UTC, datetime
from functools import cached_property, partial

import mlflow
from mlflow.entities import Run

from audits.errors import shortened
from audits.execution.refusals import Refusal
from audits.models import registry
from audits.tracking.tags import REFUSED_TAG

_LONGEST = 300  # characters of a reason
_PAGE = 1000


class RunMemory:
    """Refusals in the tags of runs; `add` writes them to the run `run_id`.

    Deleted runs are forgotten. The experiment is searched once.
    """

    def __init__(self, experiment: str, run_id: str = ""):
        self._experiment, self._run_id = experiment, run_id
        self._own: list[str] = []

    def of(self, digest: str) -> Refusal | None:
        """The newest refusal of a model."""
        return self._found.get(digest)

    def add(self, digest: str, refusal: Refusal) -> None:
        told = f"{digest} {refusal.check}: {shortened(refusal.why, _LONGEST)}"
        self._own.append(told)
        mlflow.MlflowClient().set_tag(self._run_id, REFUSED_TAG, "\n".join(self._own))

    @cached_property
    def _found(self) -> dict[str, Refusal]:
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            return {}
        search = partial(client.search_runs, [experiment.experiment_id])
        runs = registry.all_pages(
            search,
            filter_string=f"tags.`{REFUSED_TAG}` LIKE '%'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
        )
        return {digest: refusal for run in runs for digest, refusal in _told(run)}


def _day(milliseconds: int) -> str:
    """A day in UTC by ISO 8601, or words for a time that no calendar has: any client may write."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "an unknown day"


def _told(run: Run) -> list[tuple[str, Refusal]]:
    day = _day(run.info.start_time)
    kept = f"the tag {REFUSED_TAG} of run {run.info.run_id}"
    found = []
    for line in run.data.tags.get(REFUSED_TAG, "").splitlines():
        digest, _, told = line.partition(" ")
        check, _, why = told.partition(": ")
        found.append((digest, Refusal(day, check or "a check", why, kept)))
    return found
