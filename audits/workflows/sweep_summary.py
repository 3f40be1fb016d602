"""The work of a sweep on each version, and the summary of all: a plain function."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from audits.config.audit import AuditConfig
from audits.errors import one_line
from audits.models.snapshot import snapshot
from audits.verdict.result import AuditResult
from audits.workflows.audit import run_audit
from audits.workflows.candidates import Candidate, Candidates, left_alone_told
from audits.workflows.freshness import Lookout

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """The outcome of a sweep for one version."""

    model: str
    done: str  # "audited" or "skipped"
    verdict: str  # as people are told it, "passed, in part" say; "error" if the audit broke off
    why: str
    run_id: str = ""  # of the standing audit; "" if there is none
    page: str = ""  # of the run, below the root of the MLflow UI
    decider: str = ""  # the condition that decided, in words


@dataclass(frozen=True)
class Summary:
    """All image classifiers that a sweep looked at, and how many other versions it left alone."""

    rows: tuple[Row, ...]
    left_alone: Mapping[str, int] = field(default_factory=dict)  # versions by reason

    @property
    def word(self) -> str:
        """`failed` if any version failed, `undecided` if any is not passed, else `passed`.

        If all versions are left alone, it is `nothing to audit`, which is no fault.
        """
        verdicts = {row.verdict for row in self.rows}
        if "failed" in verdicts:
            return "failed"
        if not verdicts:
            return NOTHING
        return "passed" if verdicts <= {"passed", "passed, in part"} else "undecided"

    def __str__(self) -> str:
        if not self.rows:
            return nothing_told(self.left_alone)
        counts = {v: sum(row.verdict == v for row in self.rows) for v in _WORDS}
        # Without the comma of "passed, in part", which would look like two counts.
        told = ", ".join(f"{n} {word.replace(',', '')}" for word, n in counts.items() if n)
        audits = sum(row.done == "audited" for row in self.rows)
        audited = f"{len(self.rows)} versions, {audits} audited" + (f": {told}" if told else "")
        left = left_alone_told(self.left_alone)
        return f"{audited}; {left}" if left else audited


_WORDS = ("passed", "passed, in part", "failed", "undecided", "error")
NOTHING = "nothing to audit"


def nothing_told(left_alone: Mapping[str, int]) -> str:
    """The line of a sweep that leaves every version alone."""
    return f"{NOTHING}; {left_alone_told(left_alone)}"


def audit_due(
    config: AuditConfig,
    found: Candidates,
    audit: Callable[[AuditConfig], AuditResult] = run_audit,
    broke_off: Callable[[str, str], None] = lambda uri, reason: None,
) -> Summary:
    """Audits those of the versions `found` that are due by `config`, one after the other.

    `audit` runs one audit. If it raises, `broke_off` is called with the version's URI and the
    reason, the verdict of the version is `error`, and the others are audited all the same. Nothing
    is recorded about a version that would be refused, or whose MLmodel cannot be read.
    """
    lookout = Lookout(config)

    def row(one: Candidate) -> Row:
        done = "skipped"
        if one.unread:
            return Row(one.uri, done, "error", one.unread)
        if one.refused:
            return Row(one.uri, done, "undecided", one.refused)
        try:
            with snapshot():  # looking and auditing copy the files of the version once
                standing = lookout.look(one.uri)
                if standing.verdict is not None and standing.audit is not None:
                    run = standing.audit.run_id, standing.audit.page
                    verdict = standing.verdict
                    return Row(one.uri, done, verdict.told, standing.why, *run, verdict.decider)
                done = "audited"
                result = audit(config.model_copy(update={"model": one.uri}))
        except Exception as error:
            # Whatever happened to this version, the others are due as well. The summary, the exit
            # code and `broke_off` tell it.
            reason = f"{type(error).__name__}: {one_line(error)}"
            broke_off(one.uri, reason)
            return Row(one.uri, done, "error", reason)
        verdict, run = result.verdict, (result.run_id, result.page)
        return Row(one.uri, done, verdict.told, verdict.reason, *run, verdict.decider)

    rows = []
    for one in found.rows:
        rows.append(row(one))
        # Logged at once, so that the night's work is not lost if a later step fails.
        log.info("%s: %s, %s", one.uri, rows[-1].done, rows[-1].verdict)
    return Summary(tuple(rows), found.left_alone)
