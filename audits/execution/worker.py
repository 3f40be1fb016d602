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
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.util import get_temp_dir
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from audits.errors import AuditError, ModelRefused, NotApplicable
from audits.execution import cell as cells
from audits.execution import elsewhere, fork_server
from audits.execution.cell import Cell, Inside

_GIB = 1 << 30
_UNKNOWN_EXIT = 255  # multiprocessing says so if the fork server, which knows, has died
_LOOK_SECONDS = 0.5  # between looks at a pool that may have broken without a word
_Task = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


class WorkerFailure(Exception):
    """A call did not come back with a result; `reason` is one line, `detail` a traceback or ""."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class _Child:
    """One child process, in a pool that starts another if that one dies, and its end."""

    def __init__(self, memory_gib: float | None, cell: Cell | None):
        self.cell = cell
        self._own = tempfile.mkdtemp(prefix="fillblanks-cell-") if cell else ""
        inside = Inside(cell, self._own, (os.path.realpath(get_temp_dir()),)) if cell else None
        given = fork_server.environment()
        # The child holds the reading end: it learns from the kernel when this end is gone.
        self._life, self._lifeline = Pipe(duplex=False)
        self._ended: Future[None] = Future()
        self._pool = ProcessPool(
            max_workers=1,
            context=elsewhere.context(cell.python)
            if cell and cell.python
            else fork_server.context(),
            initializer=_start,
            initargs=(
                inside.environment(given) if inside else given,
                self._life,
                None if memory_gib is None else int(memory_gib * _GIB),
                inside,
            ),
        )

    def run(self, task: _Task, seconds: float) -> Future[Any]:
        """Runs `_run(*task)` in the child; a future that is not done then never will be.

        Raises OSError, EOFError or RuntimeError if the child cannot be started or reached.
        """
        future = self._pool.schedule(_run, args=task, timeout=seconds)
        either: list[Future[Any]] = [future, self._ended]
        while not wait(either, _LOOK_SECONDS, FIRST_COMPLETED).done:
            # A pool that breaks while it is handed a task may forget the task.
            if not self._pool.active and not wait((future,), _LOOK_SECONDS).done:
                break
        return future

    @property
    def active(self) -> bool:
        return not self._ended.done() and self._pool.active

    def end(self) -> None:
        """Ends the process, also if it has lost its fork server; calls that run come back."""
        self._ended.set_result(None)
        self._pool.stop()
        self._pool.join()
        self._lifeline.close()
        self._life.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)  # files of a model may resist


class Worker:
    """One child process; `call` runs a module-level function in it.

    The process is started by the first call, and has the environment variables, the `sys.path` and
    the working directory of that moment. A later call starts another if the process has ended.
    Threads may use one worker at once: their calls take turns, and `stop` waits for none of them.
    """

    def __init__(self, memory_gib: float | None = None):
        self._memory_gib = memory_gib
        self._turn = threading.Lock()  # of the call that runs
        self._lock = threading.Lock()  # while the process is started or ended
        self._child: _Child | None = None
        self._left = False

    def __enter__(self) -> Self:
        self._left = False
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        self.stop()

    def stop(self) -> None:
        """Ends the process; a call that runs fails, and the next call starts another process."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                child.end()

    def _end(self, child: _Child | None) -> None:
        """Ends what pebble has started in place of a child that failed, and what is left of it."""
        with self._lock:
            if child is not None and child is self._child:
                self._child = None
                child.end()

    def _running(self, cell: Cell | None) -> _Child:
        with self._lock:
            if self._left:
                raise WorkerFailure("the worker for the model was closed")
            if self._child is not None and not (self._child.active and self._child.cell == cell):
                self._child.end()
                self._child = None
            if self._child is None:
                self._child = _Child(self._memory_gib, cell)
            return self._child

    def call(
        self, function: Callable[..., Any], *args: Any, seconds: float, cell: Cell | None = None
    ) -> Any:
        """`function(*args)`, in the child, within `seconds`.

        If the child is not in `cell`, another one is started there.

        Raises AuditError as the function raised it, and WorkerFailure for anything else that went
        wrong: time, memory, a crash of the process, another exception, a process that cannot be
        started or reached, a `stop` by another thread.
        """
        with self._turn:
            answer = self._answer((function, args), seconds, cell)
        if isinstance(answer, _Raised):
            raise answer.refusal or WorkerFailure(self._reason(answer), answer.detail)
        return pickle.loads(answer)

    def _answer(self, task: _Task, seconds: float, cell: Cell | None) -> "bytes | _Raised":
        child = None
        try:
            child = self._running(cell)
            future = child.run(task, seconds)
        except (OSError, EOFError, RuntimeError) as error:
            self._end(child)
            raise self._no_start(error) from error
        if not future.done():
            self._end(child)
            raise WorkerFailure("the process that held the model was ended during the call")
        failure = future.exception()
        if failure is None:
            answer: bytes | _Raised = future.result()
            return answer
        self._end(child)
        if isinstance(failure, TimeoutError):
            raise WorkerFailure(f"it took more than {seconds:g} s and was stopped") from failure
        if isinstance(failure, ProcessExpired):
            died = f"the process that held the model died ({_died(failure.exitcode)})"
            raise WorkerFailure(died + self._limit("; {} may be too little")) from failure
        raise self._no_start(failure) from failure

    def _no_start(self, error: BaseException) -> WorkerFailure:
        reason = self._limit("{} may be too little; ") + _one_line(error.__cause__ or error)
        return WorkerFailure(f"the process for the model did not start: {reason}")

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
    if exit_code == _UNKNOWN_EXIT:
        return f"exit code {exit_code}, or its fork server died"
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


def _start(
    environment: Mapping[str, str], life: Connection, memory: int | None, inside: Inside | None
) -> None:
    """First thing in the child: sets up environment and memory, and ends the child with its parent.

    `environment` is the parent's: that of a fork server is as old as the server. `life` is the
    reading end of a pipe of which the parent alone holds the other end.
    """
    if inside is not None:
        cells.enter(inside)
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
    descriptor = _opened_again(life.fileno())
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    if life.poll():  # nobody ever writes: the other end was closed before
        os._exit(1)


def _opened_again(pipe: int) -> int:
    """Another opening of the pipe, since the signals of one opening go to one process alone.

    Two children have the pipe at once if a fork server is killed: its child lives on, and pebble
    starts another.
    """
    if sys.platform != "linux":
        return os.dup(pipe)
    return os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK)
