"""The sweep told to Prefect: every version that is due is audited as a subflow of its own."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from audits import AuditConfig
from audits.workflows.freshness import Lookout
from audits.workflows.sweep import Wanted, sweep_config, versions
from flows.audit import audited
from flows.events import announce_error
from flows.outcome import not_passed, outcome_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """What a sweep did about one version."""

    model: str
    done: str  # "audited" or "skipped"
    verdict: str  # "error" where the audit broke off
    why: str
    run_id: str = ""


@dataclass(frozen=True)
class Summary:
    """All versions that a sweep looked at."""

    rows: tuple[Row, ...]

    @property
    def word(self) -> str:
        """`failed` if any version failed, `undecided` if any is not passed, else `passed`."""
        verdicts = {row.verdict for row in self.rows}
        if "failed" in verdicts:
            return "failed"
        return "passed" if verdicts == {"passed"} else "undecided"

    def __str__(self) -> str:
        counts = {v: sum(row.verdict == v for row in self.rows) for v in _WORDS}
        told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        audits = sum(row.done == "audited" for row in self.rows)
        return f"{len(self.rows)} versions, {audits} audited: {told}"


_WORDS = ("passed", "failed", "undecided", "error")


@flow(name="sweep", validate_parameters=False, persist_result=False)
def sweep(
    config: dict[str, Any],
    name: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Summary | State[Any]:
    """Audits every version of the registry that is due, one after the other.

    Only versions of model `name`, with `alias` and with all `tags`, where given. An audit that
    breaks off does not stop the others. The summary is a table artifact `audit-sweep`; the flow run
    fails unless every verdict, new or standing, is `passed`.
    """
    uris = versions(Wanted(name, alias, tags))
    parsed = sweep_config(config, uris)
    lookout = Lookout(parsed)
    summary = Summary(tuple(_row(parsed, lookout, uri) for uri in uris))
    create_table_artifact(
        key="audit-sweep",
        table=[asdict(row) for row in summary.rows],
        description=str(summary),
    )
    word = summary.word
    return summary if word == "passed" else not_passed(word, str(summary), summary)


def swept(config: dict[str, Any], wanted: Wanted) -> Summary:
    """Runs the flow and returns what it did, whatever the verdicts; raises what it raised."""
    state: State[Any] = sweep(config, wanted.name, wanted.alias, wanted.tags, return_state=True)
    summary: Summary = outcome_of(state)
    return summary


def _row(config: AuditConfig, lookout: Lookout, uri: str) -> Row:
    row = _looked_at(config, lookout, uri)
    # Told at once: should the last step fail, the night's work is not lost.
    log.info("%s: %s, %s", row.model, row.done, row.verdict)
    return row


def _looked_at(config: AuditConfig, lookout: Lookout, uri: str) -> Row:
    done = "skipped"
    try:
        found, why = lookout.look(uri)
        if found is not None:
            return Row(uri, done, found.word, why)
        done = "audited"
        result = audited(config.model_copy(update={"model": uri}))
    except Exception as error:
        # Whatever became of this version, the others are due as well; it is told in the summary,
        # in the exit code and as an event.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        announce_error(uri, reason)
        return Row(uri, done, "error", reason)
    return Row(uri, done, result.verdict.word, result.verdict.reason, result.run_id)
