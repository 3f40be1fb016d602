"""The first thing that runs in the process that holds the model.

A process can lose its rights only while it has one thread, and numpy and torch start threads when
they are imported. So this module and what it imports are light.
"""

import ctypes
import gc
import os
import signal
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from audits.execution import cell as cells
from audits.execution.cell import Inside
from audits.execution.confinement import lifeline, output

_GIB = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclass(frozen=True)
class Start:
    """The settings with which the process begins.

    The environment is the parent's: that of a fork server is as old as the server.
    """

    environment: Mapping[str, str]
    memory_gib: float | None
    inside: Inside | None


_ERROR_OUTPUT = 2  # the largest of the descriptors that every process has


def enter(channel: socket.socket, life: Connection, writing: Connection, start: Start) -> None:
    """Sets the process up, and answers calls from `channel` until that is closed.

    `life` is the reading end of a pipe of which the parent alone holds the other end. What the
    process prints goes to `writing`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    failure = None
    try:
        _cut_off({one.fileno() for one in (channel, life, writing)})
        output.redirect(writing)
        file = lifeline.watch(life.fileno())
        if life.poll():  # nobody ever writes: the other end was closed before
            os._exit(1)
        _begin(file, start)
    except Exception as error:  # is told to the parent, whatever it is
        failure = error
    from audits.execution.serving import serve  # heavy

    serve(channel, start.memory_gib, failure)


def _begin(lifeline_file: int, start: Start) -> None:
    """Sets up the cell, the environment and the memory."""
    if start.inside is not None:
        cells.enter(start.inside, lifeline=lifeline_file)
    os.environ.clear()
    os.environ.update(start.environment)
    tempfile.tempdir = None  # found anew, by this environment
    gc.freeze()  # of all that was imported nothing is garbage, and looking for it takes long
    _keep_freed_memory()


def _cut_off(kept: set[int]) -> None:
    """Turns all that was inherited, but `kept`, into /dev/null.

    There are ways to the fork server and to multiprocessing's resource tracker among it, and a
    wrong byte ends the fork server.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):
        descriptor = int(name)
        if descriptor > _ERROR_OUTPUT and descriptor not in kept:
            with suppress(OSError):  # of the listing itself, which is closed by now
                os.fstat(descriptor)
                os.dup2(nothing, descriptor)


def _keep_freed_memory() -> None:
    """Lets malloc keep what is freed: every pass takes the same large blocks again.

    Where the kernel takes them back it must clear them page by page, which costs some networks
    more than a tenth of their speed. The highest use of memory stays the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # of glibc, not of every C library
        mallopt(_M_MMAP_THRESHOLD, _GIB)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIB - 1)
