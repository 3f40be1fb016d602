"""The output of a model's process: lines for the log, never for the terminal as they are.

The process writes into a pipe. The auditing process reads all of it, so that the other never waits,
and keeps a bounded part, without the characters by which text could pass for something else.
"""

import logging
import os
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from audits.errors import one_line

log = logging.getLogger(__name__)

_LINES, _CHARACTERS = 200, 500  # of one process that are told, and of one line
_AT_ONCE = 1 << 16


class Output:
    """Reads what one process writes. `writing` is handed to that process; call `close` after it."""

    def __init__(self) -> None:
        self._reading, self.writing = Pipe(duplex=False)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="output of a model", daemon=True)
        self._reader.start()

    @property
    def lines(self) -> tuple[str, ...]:
        """The first lines of the process, each on one line and without control characters."""
        return tuple(self._lines)

    def close(self) -> None:
        """Stops reading, once the process has ended."""
        self.writing.close()
        self._reader.join(timeout=5)
        if not self._reader.is_alive():
            self._reading.close()

    def _read(self) -> None:
        rest = b""
        while content := os.read(self._reading.fileno(), _AT_ONCE):
            *lines, rest = (rest + content).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                self._tell(line)
            rest = rest[: 4 * _CHARACTERS]
        self._tell(rest)

    def _tell(self, line: bytes) -> None:
        text = one_line(line[: 4 * _CHARACTERS].decode(errors="replace"))[:_CHARACTERS]
        if not text or len(self._lines) >= _LINES:
            return
        self._lines.append(text)
        log.info("Output of the model's process: %s", text)
        if len(self._lines) == _LINES:
            log.info("Output of the model's process: more is left out")


def redirect(writing: Connection) -> None:
    """Sends standard output and error of this process into the pipe."""
    for standard in (1, 2):
        os.dup2(writing.fileno(), standard)
    writing.close()
