"""The cell: the process of a model that runs code of its own keeps little that it does not need.

The process loses the environment's variables, the network, and the right to write files, before
anything of the model is loaded. If the kernel does not allow a part of this, the part is left out
and the evidence says so. A cell is no sandbox: the process can read all files
of the user, and it writes parts into the store.
"""

import ctypes
import os
import posix
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audits.execution import namespaces
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
_ENV_START, _ENV_END = 50, 51  # fields of /proc/<pid>/stat, counted from 1


@dataclass(frozen=True)
class Cell:
    """The reach of the process of a model that runs code. Another cell is another process."""

    subject: str  # digest of the model
    reason: str  # why the model is in a cell: a sentence
    writable: tuple[str, ...]  # folders
    remote: str = ""  # the parts that are remote and need network and environment; mostly ""
    python: Python | None = None  # of the model's own environment


@dataclass(frozen=True)
class Inside:
    """A cell with the folders of one process."""

    cell: Cell
    own: str  # the folder for temporary files and in place of the user's home
    hidden: tuple[str, ...]  # folders with sockets by which the process could reach others

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of the process, out of those of the auditing process."""
        if self.cell.remote:
            return {**given, "TMPDIR": self.own}
        kept = {name: value for name, value in given.items() if _is_kept(name)}
        return {**kept, "HOME": self.own, "TMPDIR": self.own}


@dataclass(frozen=True)
class Held:
    """The rights that the process of a cell really lost."""

    variables: bool
    network: bool
    files: bool
    refused: str = ""  # the kernel's reason

    def note(self, cell: Cell) -> str:
        """Sentences for a reader of the evidence."""
        lost = [
            ("no network", self.network),
            ("no variables of the environment that may be secret", self.variables),
            ("no way to write files but in the store and its own temporary folder", self.files),
        ]
        had = ", ".join(text for text, holds in lost if holds) or "all rights of the user"
        told = f"{cell.reason} Its process had {had}."
        if cell.remote:
            told += f" It had the network and the environment, since {cell.remote} is remote."
        if self.refused:
            told += f" The kernel refused more ({self.refused})."
        return told


_held: Held | None = None  # in the process of a cell


def held() -> Held | None:
    """The rights that this process lost; None outside a cell. Ask before the model is loaded."""
    return _held


def enter(inside: Inside) -> None:
    """Takes away what the cell's process does not need. Call it first, with one thread."""
    global _held
    sys.dont_write_bytecode = True  # the model's modules lie in its folder, which must not change
    apart = not inside.cell.remote
    if sys.platform != "linux":
        _held = Held(variables=apart, network=False, files=False, refused="it is not Linux")
        return
    if apart:
        _wipe_variables()
    network = files = False
    refused = ""
    try:
        namespaces.leave(network=apart)
        network = apart
        namespaces.freeze_files((inside.own, *inside.cell.writable), inside.hidden)
        files = True
    except OSError as error:
        refused = str(error)
    namespaces.drop_privileges()
    _held = Held(apart, network, files, refused)


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
    place = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        if not _is_kept(os.fsdecode(entry.split(b"=")[0])):
            ctypes.memset(place, 0, len(entry))
        place += len(entry) + 1
