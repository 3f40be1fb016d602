"""ModelProcess: one child process that holds a model, its answers, and its end."""

import os
import pickle
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.util import get_temp_dir
from typing import Any

from audits.execution import answers, bubblewrap, elsewhere, fork_server, wire
from audits.execution.answers import Answer, Raised
from audits.execution.cell import Cell, Inside
from audits.execution.confinement.output import Output
from audits.execution.confinement.readable import has_gpu
from audits.execution.docker import Contained, start_message
from audits.execution.elsewhere import Wrapping
from audits.execution.entry import Start, enter
from audits.execution.serving import QUESTION

_START_SECONDS = 300  # until a process is ready: imports on a busy machine
_LOOK_SECONDS = 0.5  # between looks at a process whose channel is silent
_END_SECONDS = 10  # for the system to take a killed process away
_Task = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments


class Ended(Exception):
    """`end` was called while the process had a call."""


class Died(Exception):
    """The process ended by itself; `exit_code` is negative for a signal, None if not known."""

    def __init__(self, exit_code: int | None):
        super().__init__(exit_code)
        self.exit_code = exit_code


class NotStarted(Exception):
    """The process could not set itself up; the message says why."""


class ModelProcess:
    """A process that answers calls, one at a time; any thread may `end` it.

    Raises OSError, EOFError or RuntimeError if the process cannot be started.
    """

    def __init__(self, memory_gib: float | None, cell: Cell | None, variables: Mapping[str, str]):
        self.cell, self._variables = cell, variables
        isolated = cell is not None and cell.isolation != "none"
        self._own = tempfile.mkdtemp(prefix="fillblanks-cell-") if isolated else ""
        self._ended = self._ready = False
        self._lock = threading.Lock()  # of the process's state, which one thread may ask at a time
        try:
            self._start(memory_gib)
        except BaseException:
            self._remove_own()
            raise

    def _start(self, memory_gib: float | None) -> None:
        cell, given = self.cell, {**fork_server.environment(), **self._variables}
        inside = None
        if cell and self._own:
            hidden = (os.path.realpath(get_temp_dir()),)
            inside = Inside(cell, self._own, hidden, gpu=cell.gpu and has_gpu())
            given = inside.environment(given)
        start = Start(given, memory_gib, inside)
        # The child holds the reading end: it learns from the kernel when this end is gone.
        life, self._lifeline = Pipe(duplex=False)
        self._channel, theirs = socket.socketpair()
        self._output = Output()
        args = theirs, life, self._output.writing, start
        try:
            with theirs, life:
                if inside and inside.cell.isolation == "docker":
                    target: Any = Contained(inside, theirs, self._output.writing.fileno())
                    self._channel.settimeout(_START_SECONDS)
                    self._channel.sendall(start_message(start))
                else:
                    target = self._context(start).Process(target=enter, args=args, daemon=True)
                    target.start()
        except BaseException:
            self._channel.close()
            self._lifeline.close()
            self._output.close()
            raise
        self._process = target

    def _context(self, start: Start) -> Any:
        """The way to start the process."""
        python = self.cell.python if self.cell else None
        inside = start.inside
        if inside is None or inside.cell.isolation != "bubblewrap":
            return elsewhere.context(python) if python else fork_server.context()
        python = python or elsewhere.own_python()
        command = bubblewrap.command(inside, python)
        # Of bwrap too the process could read the environment.
        output = self._output.writing.fileno()
        return elsewhere.context(python, Wrapping(command, start.environment, output))

    @property
    def active(self) -> bool:
        """Whether it can be called."""
        return not self._ended and self._exit_code(0) is None

    def ask(self, task: _Task, seconds: float) -> Answer | Raised:
        """The answer to `task` within `seconds`, or what it raised there.

        Raises whatever pickle raises for the task, before anything is sent. Else raises
        TimeoutError, NotStarted, Died, Ended or NotAnAnswer; the process must be ended then.
        """
        question = pickle.dumps(task)
        if not self._ready:
            began = self._read(time.monotonic() + _START_SECONDS)
            if isinstance(began, Raised):
                raise NotStarted(began.reason)
            self._ready = True
        deadline = time.monotonic() + seconds
        try:
            self._channel.settimeout(max(seconds, _LOOK_SECONDS))
            self._channel.sendall(QUESTION.pack(len(question)) + question)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._gone() from error
        return self._read(deadline)

    def end(self) -> None:
        """Ends the process, also if it has lost its fork server; a call that runs comes back."""
        self._ended = True
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._lifeline.close()
        with self._lock:
            self._process.kill()
            self._process.join(_END_SECONDS)
        self._channel.close()
        self._output.close()
        self._remove_own()

    def _remove_own(self) -> None:
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)  # files of a model may resist

    def _exit_code(self, seconds: float) -> int | None:
        """The exit code, if the process ends within `seconds`."""
        with self._lock:
            self._process.join(seconds)
            return self._process.exitcode

    def _gone(self) -> Died | Ended:
        return Ended() if self._ended else Died(self._exit_code(_LOOK_SECONDS))

    def _read(self, deadline: float) -> Answer | Raised:
        size = wire.lengths(self._bytes(wire.HEAD, deadline))
        words = self._bytes(size.words, deadline)
        return answers.read(wire.from_bytes(words, self._bytes(size.arrays, deadline)))

    def _bytes(self, count: int, deadline: float) -> bytearray:
        """The next bytes that the process sends."""
        found = bytearray(count)
        view = memoryview(found)
        while view:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            try:
                self._channel.settimeout(min(left, _LOOK_SECONDS))
                got = self._channel.recv_into(view)
            except TimeoutError:
                # Another process that it started may hold the channel open after its end.
                if self._ended or self._exit_code(0) is not None:
                    raise self._gone() from None
                continue
            except OSError as error:
                raise self._gone() from error
            if got == 0:
                raise self._gone()
            view = view[got:]
        return found
