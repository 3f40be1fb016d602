"""Executors that call a function of the test for each unit, or measure units in threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from audits.checks.base import Check
from audits.checks.context import Unit
from audits.execution.executors import InProcess
from audits.execution.session import Session


class Each(InProcess):
    """Calls `measure(session, check, unit)` in place of `session.measure(check, unit)`."""

    def __init__(self, measure: Callable[[Session, Check, Unit], None]):
        self._measure = measure

    def map_units(self, session, check, units):
        for unit in units:
            self._measure(session, check, unit)


class Threads(InProcess):
    """Measures the units of a check in four threads at once."""

    def map_units(self, session, check, units):
        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(lambda unit: session.measure(check, unit), units):
                pass
