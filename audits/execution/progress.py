"""Progress: log lines that say how far an audit is and how long it will take."""

import logging

log = logging.getLogger(__name__)

_REACH = 20  # an estimate is made for at most so many times the passes that were measured for it


class Progress:
    """Counts passes of finished units, and estimates the time left from the largest of them.

    A small unit, the first above all, shows the time of work that is done once and not the time of
    passes.
    """

    def __init__(self, model: str, passes: int):
        """`passes` is the number of passes that the whole audit takes, at the least."""
        self._model = model
        self._left = passes
        self._largest = 0  # passes of the largest unit
        self._passes_measured, self._seconds_measured = 0, 0.0  # of all units of that size

    def finished(self, unit: str, passes: int, seconds: float | None) -> None:
        """Logs a unit of so many passes; `seconds` is None if it was in the store already."""
        self._left -= passes
        if seconds is None:
            log.info("%s: %s, kept from before", self._model, unit)
            return
        if passes > self._largest:
            self._largest, self._passes_measured, self._seconds_measured = passes, 0, 0.0
        if passes == self._largest:
            self._passes_measured += passes
            self._seconds_measured += seconds
        if self._left > _REACH * self._passes_measured:
            log.info("%s: %s", self._model, unit)
            return
        left = self._left * self._seconds_measured / max(self._passes_measured, 1)
        log.info("%s: %s, about %.0f s left", self._model, unit, left)
