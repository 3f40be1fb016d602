"""The end of the command line when a person presses Ctrl-C."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from flows.terminal.watch import watcher_pid

_INTERRUPTED = 130  # the exit code that shells expect after SIGINT


def leave() -> NoReturn:
    """Prints one line, ends our child processes, and ends this process with exit code 130.

    Python's own way out would wait for Prefect's threads and the model's process. Python's resource
    tracker, a process that outlives this one, gives back the semaphores; `quieten` keeps it from
    warning about them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("Interrupted. Finished units are kept; run it again to go on.", file=sys.stderr)
    for child in _children():
        if child != watcher_pid():  # the watcher ends whatever is left
            os.kill(child, signal.SIGTERM)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


def _children() -> list[int]:
    threads = Path("/proc/self/task").iterdir()
    return [int(pid) for t in threads for pid in (t / "children").read_text().split()]
