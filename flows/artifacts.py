"""Prefect artifacts: an audit's answer, its progress and a link to MLflow; the table of a sweep."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from audits import AuditResult
from audits.report.markdown import REPORT, block, common_mark, text
from audits.tracking.audited import page_url
from audits.workflows.sweep_summary import Row, Summary

log = logging.getLogger(__name__)

_LONGEST_SLUG = 60  # characters of a model's name in a key
_CELL = 300  # characters of a cell in the table of a sweep


def show(result: AuditResult, tracking_uri: str) -> None:
    """Shows the audit's answer in Prefect, with links to MLflow if `tracking_uri` is a page.

    The keys are `audit-<model>-<version>` and `audit-run-<model>-<version>`.
    """
    root = page_url(tracking_uri, "") or None
    today = datetime.now(UTC).date()
    with _optional():
        create_markdown_artifact(
            common_mark(block(result, today, root)),
            _key("audit", result.model.uri),
            str(result.model),
        )
        if root is not None:
            create_link_artifact(
                f"{root}{result.page}",
                "The audit in MLflow",
                _key("audit-run", result.model.uri),
                str(result.model),
            )


def show_sweep(summary: Summary, tracking_uri: str) -> None:
    """Shows a row for each version of a sweep in Prefect, under the key `audit-sweep`.

    Rows have links to reports in MLflow if `tracking_uri` is a page.
    """
    with _optional():
        create_table_artifact(
            [_cells(row, tracking_uri) for row in summary.rows],
            "audit-sweep",
            common_mark(text(str(summary), _CELL)),
        )


def _cells(row: Row, tracking_uri: str) -> dict[str, str]:
    """The row as Prefect shows it, which reads each cell as Markdown."""
    name, _, version = row.model.removeprefix("models:/").rpartition("/")
    done = row.done if row.run_id and row.done == "audited" else f"{row.done}: {row.why}"
    link = page_url(tracking_uri, f"{row.page}/artifacts/{REPORT}") if row.page else ""
    told = {
        "name": name,
        "version": version,
        "verdict": row.verdict,
        "deciding condition": row.decider,
        "this sweep": done,
    }
    cells = {heading: common_mark(text(cell, _CELL)) for heading, cell in told.items()}
    return {**cells, "link": f"[report]({link})" if link else row.run_id}


class ProgressShown:
    """The progress of one model's audit in Prefect, in percent of the passes that it takes."""

    def __init__(self, uri: str, title: str, passes: int):
        """`passes` is the number of passes that the whole audit takes, at the least."""
        self._all, self._done = max(passes, 1), 0
        self._id: UUID | None = None
        with _optional():
            key = _key("audit-progress", uri)
            self._id = cast(
                UUID, create_progress_artifact(0.0, key, title)
            )  # no event loop is running

    def finished(self, passes: int) -> None:
        """Counts a unit of so many passes."""
        self._done += passes
        shown, self._id = self._id, None
        if shown is not None:  # it was shown until now: an outage is told once
            with _optional():
                update_progress_artifact(shown, min(100.0, 100 * self._done / self._all))
                self._id = shown


@contextmanager
def _optional() -> Iterator[None]:
    """Inside, a Prefect server that does not answer is told: the audit needs no artifact."""
    try:
        yield
    except HTTPError as error:
        log.warning("Prefect does not show the audit: %s: %s", type(error).__name__, error)


def _key(prefix: str, uri: str) -> str:
    """A key of lowercase letters, digits and dashes, of its own for each model."""
    name = uri.removeprefix("models:/")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if slug != name.replace("/", "-") or len(slug) > _LONGEST_SLUG:
        slug = f"{slug[:_LONGEST_SLUG]}-{hashlib.sha256(uri.encode()).hexdigest()[:8]}".strip("-")
    return f"{prefix}-{slug}"
