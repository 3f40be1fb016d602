"""The child process that holds the model.

A model may hang, crash or eat all memory; in a process of its own each of these is an answer and
not the end. The process is forked from a fork server or spawned, never forked from this process. It
is kept warm between calls, killed when a call outlasts its time, and started anew after that. It
ends with its parent, however that ends.
"""

import ctypes
import fcntl
import gc
import os
import pickle
import resource
import tempfile
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from audits.errors import AuditError, ModelRefused, NotApplicable
from audits.execution import fork_server

_GIB = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


class WorkerFailure(Exception):
    """A call did not come back with a result; `reason` is one line, `detail` a traceback or ""."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Worker:
    """One child process; `call` runs a module-level function in it.

    The process is started by the first call, and has the environment variables, the `sys.path` and
    the working directory of that moment. A later call starts another if the process has ended.
    """

    def __init__(self, memory_gib: float | None = None):
        self._memory_gib = memory_gib
        # The child holds the reading end: it learns from the kernel when this end is gone.
        self._life, self._lifeline = Pipe(duplex=False)
        self._pool: ProcessPool | None = None

    def _new_pool(self) -> ProcessPool:
        memory = None if self._memory_gib is None else int(self._memory_gib * _GIB)
        return ProcessPool(
            max_workers=1,
            context=fork_server.context(),
            initializer=_start,
            initargs=(dict(os.environ), self._life, memory),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lifeline.close()
        self._life.close()

    def stop(self) -> None:
        """Ends the process; the next call starts another."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def call(self, function: Callable[..., Any], *args: Any, seconds: float) -> Any:
        """`function(*args)`, in the child, within `seconds`.

        Raises AuditError as the function raised it, and WorkerFailure for anything else that went
        wrong: time, memory, a crash of the process, another exception.
        """
        if self._pool is None or not self._pool.active:
            self._pool = self._new_pool()
        future = self._pool.schedule(_run, args=(function, args), timeout=seconds)
        error = future.exception()
        if isinstance(error, TimeoutError):
            raise WorkerFailure(f"it took more than {seconds:g} s and was stopped") from error
        if isinstance(error, ProcessExpired):
            died = f"the process that held the model died ({_died(error.exitcode)})"
            raise WorkerFailure(died + self._limit("; {} may be too little")) from error
        if error is not None:
            reason = self._limit("{} may be too little; ") + _one_line(error)
            raise WorkerFailure(f"the process for the model did not start: {reason}") from error
        answer = future.result()
        if isinstance(answer, _Raised):
            raise answer.refusal or WorkerFailure(self._reason(answer), answer.detail)
        return pickle.loads(answer)

    def _reason(self, raised: "_Raised") -> str:
        needed = self._limit("it needed more than {}") if raised.memory else ""
        return f"{needed} ({raised.reason})" if needed else raised.reason

    def _limit(self, sentence: str) -> str:
        """`sentence` with the limit of memory in it, or nothing if there is no limit."""
        if self._memory_gib is None:
            return ""
        return sentence.format(f"limits.memory_gib = {self._memory_gib:g}")


@dataclass(frozen=True)
class _Raised:
    """An exception in the child, as text, since not every exception survives pickling."""

    reason: str
    detail: str
    memory: bool
    refusal: AuditError | None


def _run(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes | _Raised:
    """Runs in the child: the pickled result, or what was raised instead."""
    try:
        answer = pickle.dumps(function(*args))
        pickle.loads(answer)
        return answer
    except Exception as error:
        # The one place that catches all: whatever a model raises becomes a failure over there.
        return _Raised(
            reason=_one_line(error),
            detail=traceback.format_exc(),
            memory=isinstance(error, MemoryError) or "allocate memory" in str(error),
            refusal=_refusal(error),
        )


def _refusal(error: Exception) -> AuditError | None:
    for kind in (NotApplicable, ModelRefused, AuditError):
        if isinstance(error, kind):
            return kind(str(error))
    return None


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _died(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code}"


def _keep_freed_memory() -> None:
    """Lets malloc keep what is freed: every pass takes the same large blocks again.

    Where the kernel takes them back it must clear them page by page, which costs some networks
    more than a tenth of their speed. The highest use of memory stays the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # of glibc, not of every C library
        mallopt(_M_MMAP_THRESHOLD, _GIB)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIB - 1)


def _start(environment: Mapping[str, str], life: Connection, memory: int | None) -> None:
    """First thing in the child: sets up environment and memory, and ends the child with its parent.

    `environment` is the parent's: that of a fork server is as old as the server. `life` is the
    reading end of a pipe of which the parent alone holds the other end.
    """
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # found anew, by this environment
    gc.freeze()  # of all that was imported nothing is garbage, and looking for it takes long
    _keep_freed_memory()
    if memory is not None:
        # Data, not address space: CUDA reserves far more addresses than it uses.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # When the other end of the pipe closes, the kernel sends SIGIO, which ends a process that does
    # not handle it, even one stuck in C code; a thread of our own would wait for the interpreter.
    descriptor = os.dup(life.fileno())
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    if life.poll():  # nobody ever writes: the other end was closed before
        os._exit(1)
