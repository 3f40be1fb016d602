"""Attempts of a process to get out of its confinement: what it has really lost is measured.

Each attempt is one thing that the process should not be able to do. It leaves nothing behind, and
raises OSError if it fails.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

_NO_CONCERN = "/etc/passwd"  # a file of every Linux that is neither Python's nor the model's


def fails(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False


def variables() -> list[str]:
    """The names of the variables that this process has, or was started with."""
    started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    return [
        *os.environ,
        *(os.fsdecode(one.split(b"=")[0]) for one in started_with if one.strip(b"\0")),
    ]


def reach_network() -> None:
    """Connects to itself over TCP, which works on every machine that has a network at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def reach_service() -> None:
    """Asks for a service by a Unix socket that nobody has: the kernel looks only if it may."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect("/nonexistent")
        except FileNotFoundError:
            return


def read_elsewhere() -> None:
    os.close(os.open(_NO_CONCERN, os.O_RDONLY))


def list_all() -> None:
    os.listdir("/")


def write_elsewhere(own: str) -> None:
    """Makes a file beside the folder `own`, where the auditing process has made that folder."""
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(os.path.realpath(own)))
    os.close(descriptor)
    os.unlink(name)


def write_given(paths: Iterable[str]) -> None:
    """Opens a file that it was given to read for writing: one of each path, until one opens."""
    refused: OSError = FileNotFoundError("no file")
    for path in paths:
        try:
            os.close(os.open(_first_file(path), os.O_WRONLY))
        except OSError as error:
            refused = error
        else:
            return
    raise refused


def start_process() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def start_program() -> None:
    """Has the kernel look for a program; it does not look if no program may be started."""
    try:
        os.execv("/nonexistent", ["/nonexistent"])
    except FileNotFoundError:
        return


def signal_parent() -> None:
    os.kill(os.getppid(), 0)


def look_into_parent() -> None:
    os.close(os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY))


def change_given(paths: Iterable[str]) -> None:
    """Sets the mode that a path has already, of the first path that it was given to read."""
    path = next(iter(paths), None)
    if path is None:
        raise FileNotFoundError("no path")
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def change_lifeline(descriptor: int) -> None:
    """Asks for the state of the file by which the kernel ends the process with its parent."""
    fcntl.fcntl(descriptor, fcntl.F_GETFL)


def room(folder: str) -> int:
    """Bytes that the file system of the folder can hold at most."""
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize


def _first_file(path: str) -> str:
    """The first file that is met in a folder, or the path itself."""
    for folder, _, names in os.walk(path):
        if names:
            return os.path.join(folder, min(names))
    return path
