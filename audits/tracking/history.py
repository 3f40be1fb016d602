"""The history of a model: all of its audits in MLflow."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.store.entities import PagedList

from audits.errors import AuditError
from audits.models import registry, server
from audits.tracking.tags import ALIASES_TAG, MODEL_TAG, NOT_COVERED_TAG, REASON_TAG, VERDICT_TAG
from audits.verdict.words import told

_BEGAN = "attributes.start_time"
_NEWEST_FIRST = [f"{_BEGAN} DESC"]
_FEW, _PAGE = 200, 1000  # runs in one answer
_STRETCHES, _AT_ONCE = 8, 4


@dataclass(frozen=True)
class Entry:
    """One audit, from the tags of its run."""

    version: str
    aliases: tuple[str, ...]  # of the version when the audit began
    verdict: str  # or "running", "killed"
    reason: str  # the conditions that decided, and their figures
    began_at: str  # ISO 8601, UTC; "" for a time that no calendar has
    run_id: str
    not_covered: str | None = None  # of a `passed`: that it covers only a part, and why

    @property
    def told(self) -> str:
        """The verdict for people; of a `passed` also whether it covers only a part."""
        return told(self.verdict, self.not_covered)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def history(name: str, experiment: str, last: int | None = None) -> list[Entry]:
    """Audits of all versions of a registered model, newest first: the `last` ones (> 0), or all.

    Raises AuditError if there are none, or if MLflow does not answer.
    """
    server.expect_registry()
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise AuditError(f"Expected an experiment {experiment!r} in MLflow, found none.")
    prefix = f"models:/{name}/"
    own = registry.matching(f"tags.`{MODEL_TAG}`", prefix, begins=True)
    search = partial(client.search_runs, [found.experiment_id])
    if last is None:
        runs = iter(_newest_first(search, own))
    else:
        page = min(last, _PAGE)
        runs = registry.results(search, filter_string=own, max_results=page, order_by=_NEWEST_FIRST)
    # In LIKE, an underscore stands for any character.
    entries = (_entry(run) for run in runs if run.data.tags[MODEL_TAG].startswith(prefix))
    listed = list(islice(entries, last))
    if not listed:
        raise AuditError(f"Expected audits of {name!r} in {experiment!r}, found none.")
    return listed


def _newest_first(search: Callable[..., PagedList[Run]], own: str) -> list[Run]:
    """All runs of the filter `own`, newest first.

    A server takes a second or two for each 1,000 runs, so many runs are asked for in stretches of
    time, several at once.
    """
    newest = search(own, max_results=_FEW, order_by=_NEWEST_FIRST)
    if not newest.token:
        return list(newest)
    (oldest,) = search(own, max_results=1, order_by=[f"{_BEGAN} ASC"])
    first, last = oldest.info.start_time, newest[-1].info.start_time
    ends = [first + (last - first) * n // _STRETCHES for n in range(_STRETCHES)] + [last + 1]

    def stretch(begin: int, end: int) -> list[Run]:
        between = f"{own} AND {_BEGAN} >= {begin} AND {_BEGAN} < {end}"
        return registry.all_pages(search, filter_string=between, max_results=_PAGE)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = pool.map(stretch, ends[:-1], ends[1:])
        runs = {run.info.run_id: run for run in chain(newest, *parts)}  # some are in both
    return sorted(runs.values(), key=lambda run: -run.info.start_time)


def _entry(run: Run) -> Entry:
    tags, info = run.data.tags, run.info
    status = info.status.lower()
    return Entry(
        version=tags[MODEL_TAG].rsplit("/", 1)[-1],
        aliases=_aliases(tags.get(ALIASES_TAG, "[]")),
        verdict=status if status in ("running", "killed") else tags.get(VERDICT_TAG, status),
        reason=tags.get(REASON_TAG, ""),
        began_at=_time(info.start_time),
        run_id=info.run_id,
        not_covered=tags.get(NOT_COVERED_TAG),
    )


def _aliases(told: str) -> tuple[str, ...]:
    """The aliases in a tag; none if anybody else has written something else there."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _time(milliseconds: int) -> str:
    """A time in UTC by ISO 8601; "" for one that no calendar has, which a client may write."""
    try:
        began = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return began.strftime("%Y-%m-%dT%H:%M:%SZ")
