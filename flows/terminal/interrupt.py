"""The end of the command line when a person presses Ctrl-C."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.terminal import display
from flows.terminal.streams import ERR, OUT
from flows.terminal.text import clean
from flows.terminal.watch import watcher_pid

_INTERRUPTED = 130  # the exit code that shells expect after SIGINT
_typed = ""  # the command that goes on with an audit


@contextmanager
def at_once_in_imports(typed: str = "") -> Iterator[None]:
    """Inside, Ctrl-C during an import ends this process at once; elsewhere it raises as usual.

    `typed` is the command that a person types to go on with what was begun; empty if nothing of it
    is kept. Libraries that are interrupted while they load swallow the exception, or abort. A
    handler that is not Python's own, SIG_IGN of a command in the background too, is left as it is.
    """
    global _typed
    _typed = typed
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
    """Ends our child processes, and ends this process with exit code 130.

    One line says what is kept, and how to go on. Python's own way out would wait for Prefect's
    threads and the model's process. Python's resource tracker, a process that outlives this one,
    gives back the semaphores; `quieten` keeps it from warning about them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    display.abandon()
    ERR.write(f"{_told()}\n")
    for child in _children():
        if child != watcher_pid():  # the watcher ends whatever is left
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(child, signal.SIGTERM)
    with suppress(OSError):
        OUT.flush()
    ERR.flush()
    os._exit(_INTERRUPTED)


def _told() -> str:
    kept = sum(display.kept.units.values())
    if not _typed:
        return "Interrupted."
    again = f"To go on, run it again: {clean(_typed, 1000)}"
    if not kept:
        return f"Interrupted. No unit of work was finished. {again}"
    units = "1 finished unit is" if kept == 1 else f"{kept} finished units are"
    return f"Interrupted. {units} kept in {clean(display.kept.store)}. {again}"


def _children() -> list[int]:
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found
