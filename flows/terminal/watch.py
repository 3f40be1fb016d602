"""A watcher process that ends the processes we leave behind if we are killed.

Mostly that is Prefect's temporary server. The watcher waits until this process is gone, however it
ended, and knows our processes by a mark in their environment. Run as a script, this file is the
watcher; the command line calls `watch`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

_MARK = "FILLBLANKS_PROCESS"
_PATIENCE = 5.0  # seconds from SIGTERM to SIGKILL


_watcher: "subprocess.Popen[bytes] | None" = None  # kept: it waits for the end of its input


def watch() -> None:
    """Starts the watcher, which ends all processes started from now on once this one is gone.

    It also deletes their temporary files. Sets TMPDIR and the mark in the environment.
    """
    global _watcher
    mark = uuid.uuid4().hex
    folder = tempfile.mkdtemp(prefix="fillblanks-")
    _watcher = subprocess.Popen(
        # Isolated: the user's working folder may have a package `flows` of its own.
        [sys.executable, "-I", __file__, mark, folder],
        stdin=subprocess.PIPE,  # the kernel closes our end when we are gone
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # signals to our group are not meant for it
    )
    os.environ[_MARK], os.environ["TMPDIR"] = mark, folder
    tempfile.tempdir = None  # asked anew


def watcher_pid() -> int | None:
    """The watcher's process id; None if none was started."""
    return _watcher.pid if _watcher else None


def _left(mark: str) -> list[int]:
    entry = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:  # it has ended, or is not ours
            continue
        if entry in environment.split(b"\0"):
            found.append(int(folder.name))
    return found


def _end(mark: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    told: set[int] = set()
    while (left := _left(mark)) and time.monotonic() < deadline + _PATIENCE:
        late = time.monotonic() > deadline
        for pid in left:
            if late or pid not in told:
                _send(pid, signal.SIGKILL if late else signal.SIGTERM)
                told.add(pid)
        time.sleep(0.1)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # it was quicker, or is another's by now
        return


if __name__ == "__main__":
    sys.stdin.buffer.read()
    try:
        _end(sys.argv[1])
    finally:
        shutil.rmtree(sys.argv[2], ignore_errors=True)
