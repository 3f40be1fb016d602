"""A pseudo-terminal, for tests of output that depends on one."""

import fcntl
import os
import re
import struct
import sys
import termios
import threading
import time


class Terminal:
    """A pseudo-terminal of so many columns in the place of stdout and stderr."""

    def __init__(self, monkeypatch, columns):
        reader, writer = os.openpty()
        self._seen = b""
        threading.Thread(target=self._read, args=[reader], daemon=True).start()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.file = os.fdopen(writer, "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stdout", self.file)
        monkeypatch.setattr(sys, "stderr", self.file)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)

    def text(self):
        """Everything that was written until now."""
        mark = f"<{time.monotonic_ns()}>"
        self.file.write(mark)
        self.file.flush()
        deadline = time.monotonic() + 60
        while mark.encode() not in self._seen:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return re.sub("<[0-9]+>", "", self._seen.decode())

    def _read(self, reader):
        while True:
            self._seen += os.read(reader, 1 << 16)
