"""Leaving at once when a person presses Ctrl-C."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from flows.watch import watcher_pid

_INTERRUPTED = 130  # what shells expect after SIGINT


def leave() -> NoReturn:
    """Ends our child processes and this one, without Prefect's goodbyes.

    In a terminal Ctrl-C also ends Prefect's temporary server, which Prefect would then go on
    asking for more than a minute. Semaphores are given back by Python's resource tracker, a process
    of its own that outlives this one; `quieten` keeps it from warning that it had to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("Interrupted. Finished units are kept; run it again to go on.", file=sys.stderr)
    for child in _children():
        if child != watcher_pid():  # which sees to what is left
            os.kill(child, signal.SIGTERM)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


def _children() -> list[int]:
    threads = Path("/proc/self/task").iterdir()
    return [int(pid) for t in threads for pid in (t / "children").read_text().split()]
