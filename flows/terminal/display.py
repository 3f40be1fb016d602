"""What stands on stderr now, and how far the audits of this process are."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flows.terminal.streams import ERR

if TYPE_CHECKING:
    from audits.execution.progress import Step


class Display(Protocol):
    """Shows progress and lines: bars on a terminal, a line a minute without one."""

    def begin(self, text: str) -> None:
        """Says to a person who waits what is done before anything is measured."""

    def status(self, text: str) -> None:
        """Says what is done now."""

    def passing(self, text: str) -> None:
        """Says how far something without steps is; the next such text takes its place."""

    def step(self, step: "Step", text: str) -> None:
        """Takes a step; `text` is empty if no unit was finished."""

    def line(self, text: str) -> None:
        """Prints a line that stays."""

    def clear(self) -> None:
        """Ends it; nothing of it is left on a terminal."""

    def abandon(self) -> None:
        """Ends it at once, without a lock: the process is about to end."""


@dataclass
class Kept:
    """Units that the store has, by model and check, and the store."""

    units: dict[tuple[str, str], int] = field(default_factory=dict)
    store: str = ""

    def take(self, step: "Step") -> None:
        """Notes a step."""
        self.units[step.model, step.check] = step.finished
        self.store = step.store


kept = Kept()
_shown: Display | None = None


def here() -> Display:
    """The display; a new one if there is none."""
    global _shown
    if _shown is None:
        _shown = _made()
    return _shown


def begin(text: str) -> None:
    """Says to a person at a terminal what is done before anything is measured."""
    if on_terminal():
        here().begin(text)


def clear() -> None:
    """Takes the display away, if there is one; whatever comes later makes a new one."""
    global _shown
    shown, _shown = _shown, None
    if shown is not None:
        shown.clear()


def abandon() -> None:
    """Stops the display without a lock."""
    if _shown is not None:
        _shown.abandon()


def on_terminal() -> bool:
    """Whether stderr is a terminal on which lines can be drawn anew."""
    return ERR.isatty() and os.environ.get("TERM") != "dumb"


def _made() -> Display:
    if on_terminal():
        from flows.terminal.bars import Bars

        return Bars()
    from flows.terminal.minutes import Minutes

    return Minutes()
