"""Progress without a terminal: the first line at once, then a line a minute."""

import threading
import time
from typing import TYPE_CHECKING

from flows.terminal.streams import ERR
from flows.terminal.text import clean, lasting

if TYPE_CHECKING:
    from audits.execution.progress import Step


class Minutes:
    """Prints to stderr how far the audit is, at most and at least once in `every` seconds."""

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._step: Step | None = None
        self._at = 0.0  # when the step was told
        self._told = False  # whether a unit was
        self._passed: float | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def begin(self, text: str) -> None:
        """Prints nothing: whoever reads the log later does not wait."""

    def status(self, text: str) -> None:
        """Prints a line."""
        self._print(text)

    def passing(self, text: str) -> None:
        """Prints a line if the last line of this kind is a minute old."""
        now = time.monotonic()
        if self._passed is None or now - self._passed >= self._every:
            self._passed = now
            self._print(text)

    def step(self, step: "Step", text: str) -> None:
        """Prints the first finished unit; how far the audit is later is printed every minute."""
        with self._lock:
            first_step, first_unit = self._step is None, bool(text) and not self._told
            self._step, self._at = step, time.monotonic()
            self._told = self._told or first_unit
        if first_step:  # also a first unit may take minutes
            threading.Thread(target=self._every_minute, daemon=True).start()
        if first_unit:
            self._print(text)

    def line(self, text: str) -> None:
        """Prints a line."""
        self._print(text)

    def clear(self) -> None:
        """Ends the lines, for good."""
        self._over.set()

    def abandon(self) -> None:
        """The same as `clear`."""
        self._over.set()

    def _every_minute(self) -> None:
        while not self._over.wait(self._every):
            with self._lock:
                step, at = self._step, self._at
            if step is not None:
                left = ""
                if step.left is not None:
                    left = f", about {lasting(step.left - (time.monotonic() - at))} left"
                done = f"{step.finished}/{step.units}"
                self._print(f"{step.model}: {step.check} {done}{left}")

    def _print(self, text: str) -> None:
        ERR.write(f"{clean(text, 2000)}\n")
        ERR.flush()
