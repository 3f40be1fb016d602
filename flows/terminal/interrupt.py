"""The end of the command line when a person presses Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.terminal.watch import watcher_pid

_INTERRUPTED = 130  # the exit code that shells expect after SIGINT


@contextmanager
def at_once_in_imports() -> Iterator[None]:
    """Inside, Ctrl-C during an import ends this process at once; elsewhere it raises as usual.

    Libraries that are interrupted while they load swallow the exception, or abort. A handler that
    is not Python's own, SIG_IGN of a command in the background too, is left as it is.
    """
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        always_raise()


def always_raise() -> None:
    """From now on Ctrl-C raises in imports too: what has begun in MLflow must be closed there."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(_: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            leave()
        frame = frame.f_back
    raise KeyboardInterrupt


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
