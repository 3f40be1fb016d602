"""Progress: log lines that say how far an audit is and how long it will take."""

import logging

log = logging.getLogger(__name__)


class Progress:
    """Counts passes of finished units, and estimates the time left from those measured here."""

    def __init__(self, model: str, passes: int):
        """`passes` is the number of passes that the whole audit takes, at the least."""
        self._model = model
        self._left = passes
        self._passes_measured, self._seconds_measured = 0, 0.0

    def finished(self, unit: str, passes: int, seconds: float | None) -> None:
        """Logs a unit of so many passes; `seconds` is None if it was in the store already."""
        self._left -= passes
        if seconds is None:
            log.info("%s: %s, kept from before", self._model, unit)
            return
        self._passes_measured += passes
        self._seconds_measured += seconds
        left = self._left * self._seconds_measured / max(self._passes_measured, 1)
        log.info("%s: %s, about %.0f s left", self._model, unit, left)
