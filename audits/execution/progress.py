"""Progress: log lines that say how far an audit is and how long it will take.

Each record has the same as a Step in its attribute `step`, so that a handler may draw a bar of it.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

log = logging.getLogger(__name__)

_REACH = 20  # an estimate is made for at most so many times the passes that were measured for it


@dataclass(frozen=True)
class Step:
    """How far one check of an audit is."""

    model: str
    check: str
    finished: int  # units
    units: int
    share: float  # of the passes of the check, 0 to 1
    check_left: float | None  # seconds; None: not known yet
    left: float | None  # seconds of all checks; None: not known yet
    concluded: bool = False
    store: str = ""  # the folder in which finished units are kept


class Progress:
    """Counts passes of finished units, and estimates the time left from the largest of them.

    A small unit, the first above all, shows the time of work that is done once and not the time of
    passes. The beginning and the conclusion of a check are told at level DEBUG, a unit at INFO.
    """

    def __init__(self, model: str, passes: int, store: str = ""):
        """`passes` is the number of passes that the whole audit takes, at the least."""
        self._model, self._store = model, store
        self._left = passes
        self._largest = 0  # passes of the largest unit
        self._passes_measured, self._seconds_measured = 0, 0.0  # of all units of that size
        self._units: dict[str, int] = {}  # by check
        self._finished: dict[str, int] = {}
        self._passes: dict[str, int] = {}
        self._passes_left: dict[str, int] = {}

    def begins(self, check: str, passes: Iterable[int]) -> None:
        """Tells once that a check begins, whose units have so many passes each."""
        if check in self._units:
            return
        by_unit = list(passes)
        self._units[check], self._finished[check] = len(by_unit), 0
        self._passes[check] = self._passes_left[check] = sum(by_unit)
        log.debug("%s: %s begins", self._model, check, extra={"step": self._step(check)})

    def finished(self, check: str, unit: int, passes: int, seconds: float | None) -> None:
        """Tells the end of the unit with this number, from 1, of a check that has begun.

        `passes` are those of the unit; `seconds` is None if it was in the store already.
        """
        self._left -= passes
        self._passes_left[check] -= passes
        self._finished[check] += 1
        if seconds is not None:
            if passes > self._largest:
                self._largest, self._passes_measured, self._seconds_measured = passes, 0, 0.0
            if passes == self._largest:
                self._passes_measured += passes
                self._seconds_measured += seconds
        step = self._step(check)
        text = f"{check} {unit}/{step.units}"
        if seconds is None:
            text += ", kept from before"
        elif step.left is not None:
            text += f", about {step.left:.0f} s left"
        log.info("%s: %s", self._model, text, extra={"step": step})

    def concluded(self, check: str) -> None:
        """Tells that the evidence of a check is there; it may be a check without a unit here."""
        if check in self._units:
            step = self._step(check, concluded=True)
            log.debug("%s: %s is concluded", self._model, check, extra={"step": step})

    def _step(self, check: str, concluded: bool = False) -> Step:
        all_passes, left = self._passes[check], self._passes_left[check]
        return Step(
            model=self._model,
            check=check,
            finished=self._finished[check],
            units=self._units[check],
            share=1 - left / all_passes if all_passes > 0 else 1.0,
            check_left=self._seconds(left),
            left=self._seconds(self._left),
            concluded=concluded,
            store=self._store,
        )

    def _seconds(self, passes: int) -> float | None:
        """The time of so many passes; None if too few were measured to tell."""
        measured = self._passes_measured
        if passes > _REACH * measured:
            return None
        return max(passes, 0) * self._seconds_measured / max(measured, 1)
