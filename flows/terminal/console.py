"""The log of `audits` and `flows` in the terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flows.terminal import display
from flows.terminal.text import clean

_LONGEST = 2000  # characters of a line: a note of an audit may have several sentences


class ProgressHandler(logging.Handler):
    """Hands records to the display on stderr: steps of an audit, progress, and lines that stay.

    Records at level DEBUG are shown if they are steps, and no others.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one record."""
        step = getattr(record, "step", None)
        if record.levelno < logging.INFO and step is None:
            return
        text = clean(self.format(record), _LONGEST)
        shown = display.here()
        if step is not None:
            display.kept.take(step)
            shown.step(step, text if record.levelno >= logging.INFO else "")
        elif getattr(record, "passing", False):
            shown.passing(text)
        elif record.levelno > logging.INFO:
            shown.line(text)
        else:
            shown.status(text)

    def done(self) -> None:
        """Takes the progress away."""
        display.clear()


def show_progress() -> ProgressHandler:
    """Shows the log of `audits` and `flows` in the terminal; returns the handler.

    May be called again: the new handler takes the place of the old.
    """
    handler = ProgressHandler()
    for logger in _loggers():
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    return handler


@contextmanager
def progress_shown(begins: str, lines: bool) -> Iterator[None]:
    """Shows the log inside, and leaves the loggers as they were.

    On a terminal it begins with the text `begins` at once. Without a terminal, only warnings are
    shown if `lines` is false.
    """
    before = [(logger, [*logger.handlers], logger.propagate, logger.level) for logger in _loggers()]
    display.kept = display.Kept()
    handler = show_progress()
    if not lines and not display.on_terminal():
        handler.setLevel(logging.WARNING)
    display.begin(begins)
    try:
        yield
    finally:
        display.clear()
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in ("audits", "flows")]
