"""The log in the terminal: progress on one line, warnings and errors on lines of their own."""

import logging
import sys


class ProgressHandler(logging.Handler):
    """Writes to stderr; on a terminal, INFO records take turns on one line."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._pending = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno > logging.INFO or not sys.stderr.isatty():
            self.done()
            print(text, file=sys.stderr, flush=True)
            return
        print("\r" + text.ljust(self._pending), end="", file=sys.stderr, flush=True)
        self._pending = len(text)

    def done(self) -> None:
        """Ends the line that progress is written on."""
        if self._pending:
            print("\r" + " " * self._pending + "\r", end="", file=sys.stderr, flush=True)
            self._pending = 0


def show_progress() -> ProgressHandler:
    """Shows the log of `audits` and `flows` in the terminal; returns the handler.

    May be called again: the new handler takes the place of the old.
    """
    handler = ProgressHandler()
    for name in ("audits", "flows"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO)
    return handler
