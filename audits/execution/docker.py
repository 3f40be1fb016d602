"""Docker: the command `docker` starts a model's process in a container of an image that is here.

The image has Python and this release of fillblanks. Its process and this one talk by standard input
and output, which `contained.py` passes on; the rest of the cell (`cell.py`) is put up inside.
"""

import csv
import io
import os
import pickle
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from audits.errors import AuditError, shortened
from audits.execution import contained
from audits.execution.cell import Inside
from audits.execution.confinement.namespaces import ROOM_FOR_LOCKS
from audits.execution.contained import HEAD
from audits.execution.elsewhere import exit_code
from audits.execution.entry import Start

_PROGRAM = ["--entrypoint", "python3"]
_MODULE = ["-m", contained.__name__]
_TRIAL_SECONDS = 120
_END_SECONDS = 30
_LONGEST = 150  # characters of what docker says
_ROOT = "0:0"
_TASKS = 2048  # processes and threads
# Of the image's own Python, not of this one.
_OF_IMAGE = ("PYTHON", "LD_")


@cache
def expect_available(image: str) -> str:
    """The user of the container who can read this user's files, as `--user` takes it.

    That is this user, or root if docker is run without the rights of root: root stands for this
    user there. Raises AuditError if docker cannot start this release of fillblanks in the image.
    """
    own = f"{os.geteuid()}:{os.getegid()}"
    with tempfile.NamedTemporaryFile(prefix="fillblanks-") as file:  # which nobody else can read
        told = _tried(image, own, file.name)
        if told and own != _ROOT and not _tried(image, _ROOT, file.name):
            return _ROOT
    if told:
        raise AuditError(
            f"Expected docker to run fillblanks in the image {shortened(image)}, got: "
            f"{shortened(told, _LONGEST).rstrip('.')}. Build or pull an image with Python and the "
            "same fillblanks, or leave isolation out."
        )
    return own


def _tried(image: str, user: str, file: str) -> str:
    """Why this user of the image cannot read the file, or has another release; empty if not so."""
    mount = ["--mount", _mount(file, "readonly")]
    command = [*_run(user), *mount, *_PROGRAM, image, *_MODULE, "release", file]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TRIAL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode != 0:
        return (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]
    if tried.stdout.strip() != contained.release():
        return f"fillblanks {shortened(tried.stdout)} instead of {contained.release()}"
    return ""


def _docker() -> str:
    found = shutil.which("docker")
    if found is None:
        raise AuditError(
            "Expected docker for isolation: docker, got no command docker. Install it, or leave "
            "isolation out."
        )
    return os.path.abspath(found)


def _run(user: str) -> list[str]:
    return [
        *(_docker(), "run", "--rm", "--interactive", "--pull", "never", "--log-driver", "none"),
        *("--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--pids-limit", str(_TASKS)),
        *("--user", user, "--workdir", "/", "--shm-size", str(ROOM_FOR_LOCKS)),
    ]


class Contained:
    """A model's process in a container: it ends with the `docker run` that started it."""

    def __init__(self, inside: Inside, channel: socket.socket, output: int):
        self._name = f"fillblanks-{uuid.uuid4().hex}"
        image = inside.cell.image
        command = [*_run(expect_available(image)), "--name", self._name, *_mounts(inside)]
        self._client = subprocess.Popen(
            [*command, *_PROGRAM, image, *_MODULE],
            stdin=channel.fileno(),
            stdout=channel.fileno(),
            stderr=output,
            start_new_session=True,  # Ctrl-C is for this process, which ends the other
        )

    @property
    def exitcode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return exit_code(self._client.poll())

    def join(self, seconds: float) -> None:
        """Waits until the process has ended, `seconds` at most."""
        try:
            self._client.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        """Ends the container; if docker is too busy for that, it ends by itself a little later."""
        self._client.kill()
        command = [_docker(), "rm", "--force", self._name]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, check=False, timeout=_END_SECONDS)


def start_message(start: Start) -> bytes:
    """The first message to a process in a container: how it begins."""
    kept = {
        name: value
        for name, value in start.environment.items()
        if name != "PATH" and not name.startswith(_OF_IMAGE)
    }
    content = pickle.dumps(Start(kept, start.memory_gib, start.inside))
    return HEAD.pack(len(content)) + content


def _mounts(inside: Inside) -> Iterable[str]:
    """The files of model and data by the names that they have here, and the process's folder."""
    for path in inside.cell.readable:
        if os.path.exists(path):
            yield from ("--mount", _mount(path, "readonly"))
    for path in inside.cell.writable:
        yield from ("--mount", _mount(path))
    yield from ("--tmpfs", f"{inside.own}:rw,size={inside.disk},mode=1777")
    if inside.gpu:
        yield from ("--gpus", "all")


def _mount(path: str, *options: str) -> str:
    fields = ["type=bind", f"source={os.path.realpath(path)}", f"target={path}", *options]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)  # a path may have a comma
    return line.getvalue()
