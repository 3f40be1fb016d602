"""Runs audits in processes of their own, kills them, and finds their leftovers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_MARK = "FILLBLANKS_TEST"


class Audits:
    """Runs `fillblanks audit` in processes whose descendants and files can be found."""

    def __init__(self, folder: Path, uri: str, config: Path, prefect: str | Path):
        """`prefect` is the API URL of a server.

        If it is the file of an empty database, each audit starts its own server with a copy.
        """
        home = folder / "prefect"
        home.mkdir()
        server = {}
        if isinstance(prefect, Path):
            shutil.copy(prefect, home)
        else:
            # fillblanks does not silence Prefect at a server of the user; Prefect's log is long.
            server = {"PREFECT_API_URL": prefect, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        self._command = [
            str(Path(sys.executable).parent / "fillblanks"),
            *("audit", uri, "--config", str(config)),
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        self._mark = str(folder)
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._environment = {
            **environment,
            "PREFECT_HOME": str(home),
            **server,
            "TMPDIR": str(self._temporary),
            _MARK: self._mark,
        }

    def start(self, **changes: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            env={**self._environment, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def to_the_end(self) -> float:
        """Runs an audit to its end and returns its seconds. Asserts that nothing is left."""
        started = time.monotonic()
        process = self.start()
        told, _ = process.communicate(timeout=600)
        seconds = time.monotonic() - started
        assert process.returncode == 0, told
        self.wait_until_alone()
        return seconds

    def killed_when(self, reached: Callable[[float], bool]) -> float | None:
        """Starts an audit and kills it once `reached(seconds since the start)` is true.

        Asserts that nothing is left. Returns the audit's seconds if it ended before the kill.
        """
        started = time.monotonic()
        process = self.start()
        while not reached(time.monotonic() - started):
            if process.poll() is not None:
                told, _ = process.communicate()
                assert process.returncode == 0, told
                return time.monotonic() - started
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()  # processes that the audit left may hold its output open
        self.wait_until_alone()
        return None

    def left(self) -> list[str]:
        """Command lines of the processes that our audits have left running, and their files."""
        entry = f"{_MARK}={self._mark}".encode()
        found = [str(path) for path in self._temporary.glob("fillblanks-*")]
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if entry in (folder / "environ").read_bytes().split(b"\0"):
                        found.append((folder / "cmdline").read_bytes().decode().replace("\0", " "))
                except OSError:
                    continue
        return found

    def wait_until_alone(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.2)
