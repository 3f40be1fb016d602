"""The cell: the process of a model keeps nothing that it does not need.

The process is taken for hostile. Before anything of the model is loaded it loses the environment's
variables, the network, other processes, new processes and programs, and all files but Python's
libraries, its own temporary folder, and the files that it is given to read. If the kernel does not
allow a part of this, the part is left out. The process then tries to get out, and the evidence says
how far it came (`held`). `confinement` holds the parts.
"""

import ctypes
import os
import posix
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audits.config.isolation import Isolation
from audits.execution.confinement import (
    descriptors,
    landlock,
    limits,
    linux,
    namespaces,
    readable,
    seccomp,
    threads,
    trials,
)
from audits.execution.confinement.landlock import WRITE, Allowed
from audits.execution.elsewhere import Python

# Variables that Python, libraries, GPUs and text need; by their beginnings and by their names.
_KEPT_BEGINNINGS = (
    *("LC_", "PYTHON", "LD_", "MALLOC_", "GLIBC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("BLIS_", "NUMEXPR_", "ATEN_", "ONEDNN_", "DNNL_", "TORCH_", "PYTORCH_", "ARROW_", "JE_"),
    *("CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_"),
)
_KEPT_NAMES = {
    *("PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME"),
    "FILLBLANKS_PROCESS",  # the mark of the watcher, which ends processes that are left behind
    *("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "KERAS_BACKEND"),
}
# Even with a beginning that is kept: LD_ACCESS_TOKEN is of a service, not of the linker.
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASS", "CRED", "AUTH", "SDK", "COOKIE")
_DISK = 1 << 30
_ENV_START, _ENV_END = 50, 51  # fields of /proc/<pid>/stat, counted from 1


@dataclass(frozen=True)
class Cell:
    """The reach of the process of a model. Another cell is another process."""

    subject: str  # digest of the model
    reason: str  # why the model is in a cell: a sentence
    writable: tuple[str, ...] = ()  # folders, besides the process's own
    python: Python | None = None  # of the model's own environment
    readable: tuple[str, ...] = ()  # files and folders of model and data
    gpu: bool = True  # whether it may use a GPU, if there is one
    isolation: Isolation = "process"
    image: str = ""  # of docker


@dataclass(frozen=True)
class Inside:
    """A cell with the folders of one process."""

    cell: Cell
    own: str  # the folder for temporary files and in place of the user's home
    hidden: tuple[str, ...]  # folders with sockets by which the process could reach others
    disk: int = _DISK  # bytes that the process may write into `own`
    gpu: bool = False  # whether it may use one

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of the process, out of those of the auditing process."""
        kept = {name: value for name, value in given.items() if _is_kept(name)}
        # The list of users cannot be read in there.
        return {"LOGNAME": "model", **kept, "HOME": self.own, "TMPDIR": self.own}


@dataclass(frozen=True)
class Held:
    """The rights that the process of a cell lost, as its own attempts at the start found."""

    variables: bool  # of the environment
    network: bool
    files: bool  # to write, but for its own folder
    reading: bool = False  # of other files
    services: bool = False  # of the machine, by Unix sockets
    processes: bool = False  # to start any
    others: bool = False  # to signal other processes, or look into them
    outliving: bool = False  # its parent
    disk: bool = False  # to write without a limit into its own folder
    refused: str = ""  # the reasons of the kernel

    def note(self, cell: Cell) -> str:
        """Sentences for a reader of the evidence."""
        lost = [
            ("no network", self.network),
            ("no variables of the environment that may be secret", self.variables),
            ("no files but libraries, the model and the data", self.reading),
            (f"no way to write files but in {_writable(cell)}", self.files),
            ("no services of the machine", self.services),
            ("no other processes", self.others and self.processes),
            ("no life after the audit", self.outliving),
            ("a limited disk", self.disk),
        ]
        if cell.isolation == "none":
            return f"{cell.reason} Its process had all rights of the user (isolation: none)."
        had = ", ".join(text for text, holds in lost if holds) or "all rights of the user"
        by = f"docker ({cell.image})" if cell.isolation == "docker" else cell.isolation
        started = "" if cell.isolation == "process" else f"was started by {by} and "
        told = f"{cell.reason} Its process {started}had {had}."
        if self.refused:
            told += f" The kernel refused more ({self.refused})."
        return told


_held: Held | None = None  # in the process of a cell


def held() -> Held | None:
    """The rights that this process lost; None outside a cell. Ask before the model is loaded."""
    return _held


def enter(
    inside: Inside, *, lifeline: int | None = None, keep: Iterable[int] | None = None
) -> None:
    """Takes away what the cell's process does not need. Call it first, with one thread.

    `lifeline` is the file of `confinement.lifeline.watch`, which the process then cannot close.
    `keep` are the open files that stay, besides standard input, output and error; without it all
    stay but those of multiprocessing's helpers.
    """
    global _held
    sys.dont_write_bytecode = True  # the model's modules lie in its folder, which must not change
    if not linux.is_linux():
        _held = Held(variables=True, network=False, files=False, refused="it is not Linux")
        return
    given = allowed(inside, sys.path)  # before HOME is wiped
    _wipe_variables()
    descriptors.silence_input()
    descriptors.forget_helpers()
    if keep is not None:
        kept = set(keep) if lifeline is None else {*keep, lifeline}
        descriptors.close_inherited(kept)
    _held = _tried(inside, lifeline, _confine(inside, lifeline, given))


def allowed(inside: Inside, path: Iterable[str]) -> list[Allowed]:
    """The files that the process keeps; `path` is its `sys.path`."""
    return [
        *readable.of_system(gpu=inside.gpu),
        *readable.of_python(path),
        *(Allowed(path) for path in inside.cell.readable),
        *(Allowed(path, WRITE) for path in (inside.own, *inside.cell.writable)),
    ]


def _confine(inside: Inside, lifeline: int | None, given: list[Allowed]) -> str:
    """Each step takes away the right to do those before it. Returns what the kernel refused."""
    refused: list[str] = []

    def step(action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            if str(error) not in refused:
                refused.append(str(error))

    own_user = own_locks = False

    def namespace() -> None:
        nonlocal own_user, own_locks
        own_user = namespaces.leave()
        cell = inside.cell
        namespaces.freeze_files(
            inside.own, inside.disk, cell.writable, inside.hidden, cell.readable
        )
        own_locks = _takes_locks()

    if inside.cell.isolation != "process":  # bwrap or docker has done the same already
        own_user = inside.cell.isolation == "bubblewrap" and os.geteuid() != 0
        own_locks = _takes_locks()
    else:
        step(namespace)
    if own_locks:  # else the folder is that of all processes, or has files that were given
        given.append(Allowed(namespaces.SHARED_MEMORY, WRITE))
    else:
        threads.without_shared_locks()
    step(namespaces.drop_privileges)
    disk = None if inside.cell.writable else inside.disk  # those folders are for large files
    step(lambda: limits.lower(disk=disk, own_user=own_user, gpu=inside.gpu))
    _keep_own_entries()
    step(lambda: landlock.restrict(given))
    keeps = seccomp.Keeps(
        process=os.getpid(),
        gpu=inside.gpu,
        ownership=bool(inside.cell.writable),
        shielded=lifeline,
    )
    step(lambda: seccomp.forbid(keeps))
    return "; ".join(refused)


def _takes_locks() -> bool:
    return os.access(namespaces.SHARED_MEMORY, os.W_OK)


def _tried(inside: Inside, lifeline: int | None, refused: str) -> Held:
    def fail(*attempts: Callable[[], None]) -> bool:
        failed = [trials.fails(attempt) for attempt in attempts]  # all of them, in any case
        return all(failed)

    return Held(
        variables=all(map(_is_kept, trials.variables())),
        network=fail(trials.reach_network),
        files=fail(
            partial(trials.write_elsewhere, inside.own),
            partial(trials.write_given, inside.cell.readable),
            partial(trials.change_given, inside.cell.readable),
        ),
        reading=fail(trials.read_elsewhere, trials.list_all),
        services=fail(trials.reach_service),
        processes=fail(trials.start_process, trials.start_program),
        others=fail(trials.signal_parent, trials.look_into_parent),
        outliving=lifeline is not None and fail(partial(trials.change_lifeline, lifeline)),
        disk=trials.room(inside.own) <= inside.disk,
        refused=refused,
    )


def _keep_own_entries() -> None:
    """Keeps /proc/self the same folder for the kernel, which forgets those that nobody holds."""
    os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)


def _writable(cell: Cell) -> str:
    return "folders that were given to it" if cell.writable else "its own temporary folder"


def _is_kept(name: str) -> bool:
    if any(word in name.upper() for word in _SECRET_WORDS):
        return False
    return name in _KEPT_NAMES or name.startswith(_KEPT_BEGINNINGS)


def _wipe_variables() -> None:
    """Clears the environment, and overwrites what stays of it in memory.

    Python has a copy of each value, and /proc/<pid>/environ shows those with which the process was
    started.
    """
    for name, value in posix.environ.items():
        if len(value) > 1 and not _is_kept(os.fsdecode(name)):  # Python shares values of one byte
            ctypes.memset(id(value) + bytes.__basicsize__ - 1, 0, len(value))
    os.environ.clear()
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    start, end = (int(fields[number - 3]) for number in (_ENV_START, _ENV_END))
    # Looked at in place: a copy that is thrown away would stay in memory too.
    block = (ctypes.c_char * (end - start)).from_address(start)
    for entry in re.finditer(rb"([^=\0]+)[^\0]*", block):
        if not _is_kept(os.fsdecode(entry[1])):
            ctypes.memset(start + entry.start(), 0, entry.end() - entry.start())
