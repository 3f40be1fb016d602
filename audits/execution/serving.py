"""What runs in the process that holds the model: it answers one call after the other."""

import ctypes
import fcntl
import gc
import os
import pickle
import resource
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from audits.execution import cell as cells
from audits.execution import wire
from audits.execution.answers import REFUSALS
from audits.execution.cell import Inside

QUESTION = struct.Struct("<Q")  # the bytes of a pickled function and its arguments
_GIB = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclass(frozen=True)
class Start:
    """What the process is given at its start; see `serve`."""

    environment: Mapping[str, str]
    memory_gib: float | None
    inside: Inside | None


def serve(channel: socket.socket, life: Connection, start: Start) -> None:
    """Answers calls from `channel` until it is closed. First it says that the process is ready.

    The environment is the parent's: that of a fork server is as old as the server. `life` is the
    reading end of a pipe of which the parent alone holds the other end.
    """
    channel.sendall(_answer(_begin, (life, start)))
    while (head := _received(channel, QUESTION.size)) is not None:
        question = _received(channel, QUESTION.unpack(head)[0])
        if question is None:
            return
        channel.sendall(_answer(_asked, (question,)))


def _asked(question: bytes) -> Any:
    function, args = pickle.loads(question)
    return function(*args)


def _answer(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return wire.to_bytes({"answer": function(*args)})
    except Exception as error:
        # The one place that catches all: whatever a model raises becomes a failure over there.
        return wire.to_bytes({"raised": _told(error)})


def _told(error: Exception) -> dict[str, Any]:
    kind = next((name for name, kind in REFUSALS.items() if isinstance(error, kind)), None)
    name, text = type(error).__name__, str(error).strip() or "no message"
    return {
        "kind": kind,
        "lines": list(map(str, error.args)) if kind else [],
        "reason": _text(f"{name}: {text.splitlines()[0]}"),
        "detail": _text(traceback.format_exc()),
        "memory": isinstance(error, MemoryError) or "allocate memory" in text,
    }


def _text(value: str) -> str:
    """Text that JSON can carry: file names may hold halves of characters."""
    return value.encode(errors="replace").decode()


def _received(channel: socket.socket, count: int) -> bytes | None:
    """The next `count` bytes, or None if the other end was closed."""
    found = bytearray()
    while len(found) < count:
        more = channel.recv(min(count - len(found), 1 << 20))
        if not more:
            return None
        found += more
    return bytes(found)


def _begin(life: Connection, start: Start) -> None:
    """Sets up the cell, environment and memory, and has the process end with its parent."""
    if start.inside is not None:
        cells.enter(start.inside)
    os.environ.clear()
    os.environ.update(start.environment)
    tempfile.tempdir = None  # found anew, by this environment
    gc.freeze()  # of all that was imported nothing is garbage, and looking for it takes long
    _keep_freed_memory()
    if start.memory_gib is not None:
        # Data, not address space: CUDA reserves far more addresses than it uses.
        limit = int(start.memory_gib * _GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _end_with_parent(life)


def _keep_freed_memory() -> None:
    """Lets malloc keep what is freed: every pass takes the same large blocks again.

    Where the kernel takes them back it must clear them page by page, which costs some networks
    more than a tenth of their speed. The highest use of memory stays the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # of glibc, not of every C library
        mallopt(_M_MMAP_THRESHOLD, _GIB)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIB - 1)


def _end_with_parent(life: Connection) -> None:
    """Has the kernel end this process when the other end of `life` is closed.

    The kernel then sends SIGIO, which ends a process that does not handle it, even one stuck in C
    code; a thread of our own would wait for the interpreter.
    """
    descriptor = _opened_again(life.fileno())
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    if life.poll():  # nobody ever writes: the other end was closed before
        os._exit(1)


def _opened_again(pipe: int) -> int:
    """Another opening of the pipe, since the signals of one opening go to one process alone."""
    if sys.platform != "linux":
        return os.dup(pipe)
    return os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK)
