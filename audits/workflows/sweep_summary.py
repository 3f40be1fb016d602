"""The work of a sweep on each version, and the summary of all: a plain function."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audits.config.audit import AuditConfig
from audits.models.snapshot import snapshot
from audits.verdict.result import AuditResult
from audits.workflows.audit import run_audit
from audits.workflows.freshness import Lookout

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """The outcome of a sweep for one version."""

    model: str
    done: str  # "audited" or "skipped"
    verdict: str  # "error" if the audit broke off
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


def audit_due(
    config: AuditConfig,
    uris: Sequence[str],
    audit: Callable[[AuditConfig], AuditResult] = run_audit,
    broke_off: Callable[[str, str], None] = lambda uri, reason: None,
) -> Summary:
    """Audits those of the versions `uris` that are due by `config`, one after the other.

    `audit` runs one audit. If it raises, `broke_off` is called with the version's URI and the
    reason, the verdict of the version is `error`, and the others are audited all the same.
    """
    lookout = Lookout(config)

    def row(uri: str) -> Row:
        done = "skipped"
        try:
            with snapshot():  # looking and auditing copy the files of the version once
                found, why = lookout.look(uri)
                if found is not None:
                    return Row(uri, done, found.word, why)
                done = "audited"
                result = audit(config.model_copy(update={"model": uri}))
        except Exception as error:
            # Whatever happened to this version, the others are due as well. The summary, the exit
            # code and `broke_off` tell it.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            broke_off(uri, reason)
            return Row(uri, done, "error", reason)
        return Row(uri, done, result.verdict.word, result.verdict.reason, result.run_id)

    rows = []
    for uri in uris:
        rows.append(row(uri))
        # Logged at once, so that the night's work is not lost if a later step fails.
        log.info("%s: %s, %s", uri, rows[-1].done, rows[-1].verdict)
    return Summary(tuple(rows))
