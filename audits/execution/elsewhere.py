"""A way to start a worker as a new process of a Python, maybe of another environment.

multiprocessing's spawn hands the process the `sys.path` of this one, which would mix the packages
of two environments.
"""

import io
import os
import sys
from dataclasses import dataclass
from multiprocessing import popen_spawn_posix, reduction, resource_tracker, spawn, util
from multiprocessing.context import SpawnContext, SpawnProcess, set_spawning_popen
from typing import Any

_PROGRAM = ("init_main_from_name", "init_main_from_path")  # by which a child imports the program


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


class _Popen(popen_spawn_posix.Popen):
    """The start of one process, as in multiprocessing but for command and `sys.path`."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        python: Python = process_obj.python
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
            self.pid = util.spawnv_passfds(os.fsencode(python.executable), command, self._fds)
            with open(write, "wb", closefd=False) as stream:
                stream.write(content.getbuffer())
        finally:
            self.finalizer = util.Finalize(self, close, (self.sentinel, write))
            os.close(child_read)
            os.close(child_write)


def close(*descriptors: int) -> None:
    """Closes file descriptors, as multiprocessing's `util.close_fds`, which has no types."""
    for descriptor in descriptors:
        os.close(descriptor)


class _Process(SpawnProcess):
    python: Python

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802, multiprocessing's name
        return _Popen(process_obj)


class _Context(SpawnContext):
    def __init__(self, python: Python):
        super().__init__()
        self._python = python

    def Process(self, *args: Any, **values: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        process = _Process(*args, **values)
        process.python = self._python
        return process


def context(python: Python) -> SpawnContext:
    """The way to start processes of `python` by their pickled functions and arguments."""
    return _Context(python)
