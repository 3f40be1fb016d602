"""An executor that calls a function of the test's for each unit."""

from collections.abc import Callable

from audits.checks.base import Check
from audits.checks.context import Unit
from audits.execution.executors import InProcess
from audits.execution.session import Session


class Each(InProcess):
    """`measure(session, check, unit)` in place of `session.measure(check, unit)`."""

    def __init__(self, measure: Callable[[Session, Check, Unit], None]):
        self._measure = measure

    def map_units(self, session, check, units):
        for unit in units:
            self._measure(session, check, unit)
