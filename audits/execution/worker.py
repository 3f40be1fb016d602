"""The child process that holds the model.

A model may hang, crash or eat all memory; in a process of its own each of these is an answer and
not the end. The process is forked from a fork server or spawned, never forked from this process. It
is kept warm between calls, killed when a call outlasts its time, and started anew after that. It
ends with its parent, however that ends. Nothing that comes from it is unpickled.
"""

import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from audits.errors import shortened
from audits.execution.answers import Answer, Raised
from audits.execution.cell import Cell
from audits.execution.model_process import Died, Ended, ModelProcess, NotStarted
from audits.execution.wire import NotAnAnswer, has_plain_text

_LONGEST_REASON = 400  # characters
_UNKNOWN_EXIT = 255  # multiprocessing says so if the fork server, which knows, has died


class WorkerFailure(Exception):
    """A call did not come back with a result; `reason` is one line, `detail` a traceback or ""."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Worker:
    """One child process; `call` runs a module-level function in it.

    The process is started by the first call, and has the environment variables, the `sys.path` and
    the working directory of that moment, and the further `variables`. A later call starts another
    if the process has ended.
    Threads may use one worker at once: their calls take turns, and `stop` waits for none of them.
    """

    def __init__(self, memory_gib: float | None = None, variables: Mapping[str, str] | None = None):
        self._memory_gib, self._variables = memory_gib, variables or {}
        self._turn = threading.Lock()  # of the call that runs
        self._lock = threading.Lock()  # while the process is started or ended
        self._process: ModelProcess | None = None
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
            process, self._process = self._process, None
            if process is not None:
                process.end()

    def _end(self, process: ModelProcess | None) -> None:
        """Ends a process that failed, unless `stop` has done so."""
        with self._lock:
            if process is not None and process is self._process:
                self._process = None
                process.end()

    def _running(self, cell: Cell | None) -> ModelProcess:
        with self._lock:
            if self._left:
                raise WorkerFailure("the worker for the model was closed")
            found = self._process
            if found is not None and not (found.active and found.cell == cell):
                found.end()
                self._process = found = None
            if found is None:
                self._process = found = ModelProcess(self._memory_gib, cell, self._variables)
            return found

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        seconds: float,
        cell: Cell | None = None,
        gives: Any = None,
    ) -> Any:
        """`function(*args)`, in the child, within `seconds`.

        If the child is not in `cell`, another one is started there. `gives` is the type of the
        result. Without it the result is made of plain values, lists, dicts and arrays, which the
        caller must check: the child is not trusted.

        Raises AuditError as the function raised it, and WorkerFailure for anything else that went
        wrong: time, memory, a crash of the process, another exception, a result of another type, a
        process that cannot be started or reached, a `stop` by another thread.
        """
        with self._turn:
            found = self._answer((function, args), seconds, cell)
        if isinstance(found, Raised):
            raise found.refusal or WorkerFailure(self._reason(found), found.detail)
        return found.value if gives is None else of_type(gives, found.value)

    def _answer(
        self, task: tuple[Callable[..., Any], tuple[Any, ...]], seconds: float, cell: Cell | None
    ) -> Answer | Raised:
        process = None
        try:
            process = self._running(cell)
            return process.ask(task, seconds)
        except TimeoutError as error:
            failure = WorkerFailure(f"it took more than {seconds:g} s and was stopped")
            raise self._ended(process, failure) from error
        except Ended as error:
            told = "the process that held the model was ended during the call"
            raise self._ended(process, WorkerFailure(told)) from error
        except Died as error:
            died = f"the process that held the model died ({_died(error.exit_code)})"
            failure = WorkerFailure(died + self._limit("; {} may be too little"))
            raise self._ended(process, failure) from error
        except NotAnAnswer as error:
            raise self._ended(process, _not_an_answer(str(error))) from error
        except (NotStarted, OSError, EOFError, RuntimeError) as error:
            raise self._ended(process, self._no_start(error)) from error

    def _ended(self, process: ModelProcess | None, failure: WorkerFailure) -> WorkerFailure:
        self._end(process)
        return failure

    def _no_start(self, error: BaseException) -> WorkerFailure:
        told = str(error) if isinstance(error, NotStarted) else f"{type(error).__name__}: {error}"
        reason = self._limit("{} may be too little; ") + shortened(told, _LONGEST_REASON)
        return WorkerFailure(f"the process for the model did not start: {reason}")

    def _reason(self, raised: Raised) -> str:
        needed = self._limit("it needed more than {}") if raised.memory else ""
        return f"{needed} ({raised.reason})" if needed else raised.reason

    def _limit(self, sentence: str) -> str:
        """`sentence` with the limit of memory in it, or nothing if there is no limit."""
        if self._memory_gib is None:
            return ""
        return sentence.format(f"limits.memory_gib = {self._memory_gib:g}")


def of_type(gives: Any, value: Any) -> Any:
    """Plain values of the child as the type `gives`. Raises WorkerFailure if they are not.

    Text in them is as `wire.has_plain_text` says.
    """
    if not has_plain_text(value):
        raise _not_an_answer("text that cannot be printed, or is too long")
    try:
        return _adapter(gives).validate_python(value)
    except ValidationError as error:
        raise _not_an_answer(f"{error.error_count()} fields that are not as expected") from error


def _not_an_answer(reason: str) -> WorkerFailure:
    return WorkerFailure(f"the process that held the model sent no proper answer ({reason})")


@cache
def _adapter(gives: Any) -> TypeAdapter[Any]:
    return TypeAdapter(gives)


def _died(exit_code: int | None) -> str:
    if exit_code is None:
        return "it closed its connection"
    if exit_code < 0:
        return f"signal {-exit_code}"
    if exit_code == _UNKNOWN_EXIT:
        return f"exit code {exit_code}, or its fork server died"
    return f"exit code {exit_code}"
