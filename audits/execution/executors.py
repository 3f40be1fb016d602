"""Executors measure the units of a check in this process, or hand them to other processes."""

from collections.abc import Sequence
from typing import Protocol

from audits.checks.base import Check
from audits.checks.context import Unit
from audits.evidence.evidence import Evidence
from audits.execution.session import Session


class Executor(Protocol):
    """Is handed the units of one check after the other, then asked for the check's conclusion.

    An executor of this process calls the session's methods, in one thread or in several, whose
    calls take turns. Another one sends batches of `tickets.measure_units` to other processes that
    share the audit's store; the session then finds the parts there. Both methods raise what the
    session raised, so that the evidence names the unit that failed; no unit is started after one
    has failed.
    """

    def map_units(self, session: Session, check: Check, units: Sequence[Unit]) -> None:
        """Returns once the part of each unit is in the store."""

    def conclude(self, session: Session, check: Check) -> Evidence:
        """Evidence from all parts of a check."""


class InProcess:
    """One unit after the other in this process: a session has one worker, which is busy by them."""

    def map_units(self, session: Session, check: Check, units: Sequence[Unit]) -> None:
        for unit in units:
            session.measure(check, unit)

    def conclude(self, session: Session, check: Check) -> Evidence:
        return session.conclude(check)
