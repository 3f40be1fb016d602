"""A way to start a worker as a new process of a Python, maybe of another environment.

multiprocessing's spawn hands the process the `sys.path` of this one, which would mix the packages
of two environments.
"""

import io
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from multiprocessing import popen_spawn_posix, reduction, resource_tracker, spawn, util
from multiprocessing.context import SpawnContext, SpawnProcess, set_spawning_popen
from typing import Any

_PROGRAM = ("init_main_from_name", "init_main_from_path")  # by which a child imports the program
_SIGNALLED = 128  # an exit code above tells a signal


@dataclass(frozen=True)
class Python:
    """A Python of another environment, and where it looks for modules."""

    executable: str
    path: tuple[str, ...]


def own_python() -> Python:
    """The Python that runs this process."""
    return Python(sys.executable, tuple(one or os.getcwd() for one in sys.path))


def preparation(process: Any) -> dict[str, Any]:
    """How multiprocessing's child sets itself up, but that it does not import the user's program.

    A worker needs nothing from the program, and what it imports may start threads, with which a
    process cannot lose its rights.
    """
    given = spawn.get_preparation_data(process._name)
    return {name: value for name, value in given.items() if name not in _PROGRAM}


@dataclass(frozen=True)
class Wrapping:
    """The words of a command that starts the interpreter, and what that command is started with."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    output: int  # a file for all that it and the process print


def exit_code(told: int | None) -> int | None:
    """The exit code of a process, negative for a signal, from what a command around it tells."""
    return _SIGNALLED - told if told is not None and told > _SIGNALLED else told


class _Popen(popen_spawn_posix.Popen):
    """The start of one process, as in multiprocessing but for command and `sys.path`."""

    _fds: list[int]
    _is_wrapped = False

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, negative for a signal."""
        code = super().poll(flag)
        return exit_code(code) if self._is_wrapped else code

    def _launch(self, process_obj: Any) -> None:
        python: Python = process_obj.python
        wrapping: Wrapping | None = process_obj.wrapping
        tracker = resource_tracker.getfd()
        assert tracker is not None
        self._fds.append(tracker)
        prepared = {**preparation(process_obj), "sys_path": list(python.path)}
        content = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(prepared, content)
            reduction.dump(process_obj, content)
        finally:
            set_spawning_popen(None)
        self.sentinel, child_write = os.pipe()
        child_read, write = os.pipe()
        try:
            command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=child_read)
            command[0] = python.executable
            self._fds.extend([child_read, child_write])
            self._is_wrapped = wrapping is not None
            if wrapping is None:
                self.pid = util.spawnv_passfds(os.fsencode(python.executable), command, self._fds)
            else:
                self.pid = _wrapped(wrapping, command, self._fds)
            with open(write, "wb", closefd=False) as stream:
                stream.write(content.getbuffer())
        finally:
            self.finalizer = util.Finalize(self, close, (self.sentinel, write))
            os.close(child_read)
            os.close(child_write)


def _wrapped(wrapping: Wrapping, command: list[str], kept: Iterable[int]) -> int:
    """Starts a command by another one, with the files `kept`; the process id of the other."""
    words = [*wrapping.command, *command]
    files = [(os.POSIX_SPAWN_DUP2, wrapping.output, standard) for standard in (1, 2)]
    files += [(os.POSIX_SPAWN_DUP2, one, one) for one in kept]  # which makes them inherited
    return os.posix_spawn(
        words[0],
        words,
        wrapping.environment,
        file_actions=files,
        setsigmask=[signal.SIGINT],  # Ctrl-C is for this process, which ends the other
    )


def close(*descriptors: int) -> None:
    """Closes file descriptors, as multiprocessing's `util.close_fds`, which has no types."""
    for descriptor in descriptors:
        os.close(descriptor)


class _Process(SpawnProcess):
    python: Python
    wrapping: Wrapping | None

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802, multiprocessing's name
        return _Popen(process_obj)


class _Context(SpawnContext):
    def __init__(self, python: Python, wrapping: Wrapping | None):
        super().__init__()
        self._python, self._wrapping = python, wrapping

    def Process(self, *args: Any, **values: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        process = _Process(*args, **values)
        process.python, process.wrapping = self._python, self._wrapping
        return process


def context(python: Python, wrapping: Wrapping | None = None) -> SpawnContext:
    """The way to start processes of `python` by their pickled functions and arguments.

    With `wrapping` another command starts the interpreter.
    """
    return _Context(python, wrapping)
