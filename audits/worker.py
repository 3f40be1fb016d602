"""The child process that holds the model.

A model may hang, crash or eat all memory; in a process of its own each of these is an answer and
not the end. The process is spawned, kept warm between calls, killed when a call outlasts its time,
and started anew after that. It watches its parent and ends with it.
"""

import os
import resource
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import TimeoutError
from multiprocessing import get_context
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from audits.errors import AuditError

_GIB = 1 << 30


class WorkerFailure(Exception):
    """A call did not come back with a result; `reason` is one line, `detail` a traceback or ""."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Worker:
    """One child process; `call` runs a module-level function in it."""

    def __init__(self, memory_gib: float | None = None):
        memory = None if memory_gib is None else int(memory_gib * _GIB)
        self._memory_gib = memory_gib
        self._pool = ProcessPool(
            max_workers=1,
            context=get_context("spawn"),
            initializer=_start,
            initargs=(os.getpid(), memory),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()
        self._pool.join()

    def call(self, function: Callable[..., Any], *args: Any, seconds: float) -> Any:
        """`function(*args)`, in the child, within `seconds`.

        Raises AuditError as the function raised it, and WorkerFailure for anything else that went
        wrong: time, memory, a crash of the process, another exception.
        """
        error = (future := self._pool.schedule(function, args=args, timeout=seconds)).exception()
        if error is None:
            return future.result()
        if isinstance(error, AuditError):
            raise error
        raise self._failure(error, seconds) from error

    def _failure(self, error: BaseException, seconds: float) -> WorkerFailure:
        if isinstance(error, TimeoutError):
            return WorkerFailure(f"it took more than {seconds:g} s and was stopped")
        if isinstance(error, ProcessExpired):
            return WorkerFailure(f"the process that held the model died ({_died(error.exitcode)})")
        detail = getattr(error, "traceback", None) or "".join(traceback.format_exception(error))
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
        if self._memory_gib and (isinstance(error, MemoryError) or "allocate memory" in str(error)):
            reason = f"it needed more than limits.memory_gib = {self._memory_gib:g} ({reason})"
        return WorkerFailure(reason, detail)


def _died(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code}"


def _start(parent: int, memory: int | None) -> None:
    """First thing in the child: limits memory and ends the child when its parent is gone."""
    if memory is not None:
        # Data, not address space: CUDA reserves far more addresses than it uses.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
