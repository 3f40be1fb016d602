"""The fork server: a process that has imported the slow libraries and is forked for each worker.

Importing torch, MLflow and what they need takes a worker seconds; the fork of a process that has
them takes a fraction of one. The server is multiprocessing's, of which a process has at most one.
It imports libraries and our own modules, and does nothing else: it asks nothing of a GPU, runs no
model, and imports no module of the user's. Each worker imports these from the `sys.path` of the
moment when it is started.

A fork copies the calling thread alone, so that a lock which another thread holds stays locked in
the copy. After its imports the server has one thread. Of the libraries, pyarrow alone would start
another when it is imported: its jemalloc frees memory in the background, which is turned off here.

The server ends with the process that started it, however that ends, though not before its imports
are done.
"""

import io
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from multiprocessing import (
    forkserver,
    popen_forkserver,
    reduction,
    resource_tracker,
    set_forkserver_preload,
    util,
)
from multiprocessing.context import (
    BaseContext,
    ForkServerContext,
    ForkServerProcess,
    set_spawning_popen,
)
from typing import Any

from audits.execution import elsewhere

log = logging.getLogger(__name__)

# Modules that a worker imports until its model is open and its check is concluded. The server
# passes over a module that this release of a library does not have; workers then import more.
PRELOADED = [
    "audits.execution.preloaded",  # mlflow.pytorch
    "torch.export._trace",  # most of what `torch.export.load` imports, sympy and triton among it
    "sympy.tensor.tensor",  # imported when shapes with symbols are subtracted
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.metrics",
    "sklearn.model_selection",
    "PIL.Image",
    "PIL.ImageFile",
    "fsspec",
    "audits.execution.entry",
    "audits.execution.serving",
    "audits.execution.child",  # most of our own modules
]
# Variables with these beginnings are read when Python or a library is loaded, in the server.
_READ_AT_LOAD = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "ATEN_", "ONEDNN_"),
    *("DNNL_", "TORCH_", "PYTORCH_", "LD_", "MALLOC_", "GLIBC_", "ARROW_", "PYTHONHASHSEED"),
    "JE_ARROW_",
)
# Set by scikit-learn and by Lightning when they are imported.
_SET_BY_LIBRARIES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "PYTORCH_NVML_BASED_CUDA_CHECK")
_JEMALLOC = "JE_ARROW_MALLOC_CONF"  # options of pyarrow's jemalloc, separated by commas
_ADDRESS_ROOM = 107  # bytes, of a socket's address on Linux
_ADDRESS_NEED = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # bytes that multiprocessing adds
_PRELOADED_BY_DEFAULT = ["__main__"]  # by multiprocessing, if nobody asks for anything

_lock = threading.Lock()
_started_with: dict[str, str] | None = None  # those variables, when the server was started
_started_by: int | None = None  # process id
_told = ""  # the last reason for spawning that was logged


class _Popen(popen_forkserver.Popen):
    """The start of one process, as in multiprocessing but for the user's program."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        content = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(elsewhere.preparation(process_obj), content)
            reduction.dump(process_obj, content)
        finally:
            set_spawning_popen(None)
        self.sentinel, write = forkserver.connect_to_new_process(self._fds)
        kept = os.dup(write)  # the child ends if it is closed
        self.finalizer = util.Finalize(self, elsewhere.close, (kept, self.sentinel))
        with open(write, "wb") as stream:
            stream.write(content.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


class _Process(ForkServerProcess):
    """A worker's process, before whose start the server is looked after."""

    def start(self) -> None:
        start()  # else multiprocessing restarts a server that has died, and without our guards
        super().start()

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802, multiprocessing's name
        return _Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Process


def context() -> BaseContext:
    """The way to start a worker: forked from the server, or spawned if `start` says so."""
    return _Context() if start() else elsewhere.context(elsewhere.own_python())


def environment() -> dict[str, str]:
    """The environment variables, without those that are set while the server is started."""
    with _lock:
        return dict(os.environ)


def start() -> bool:
    """Starts the server, unless it runs; it then imports while the caller goes on.

    False if workers must be spawned: on another system than Linux, in a fork of the process that
    started the server, if a variable that libraries read when they are loaded has changed since, if
    the program uses multiprocessing's fork server for itself, or if the server cannot be started.
    The reason is logged.
    """
    global _told
    with _lock:
        reason = _reason_to_spawn()
        if reason and reason != _told:
            log.info("Worker processes are spawned, which takes seconds longer: %s.", reason)
        _told = reason
    return not reason


def _reason_to_spawn() -> str:
    """Has the server run; otherwise says why it does not."""
    global _started_with, _started_by
    if sys.platform != "linux":
        return "forks are safe on Linux alone"
    now = _read_at_load(os.environ)
    if _started_by not in (None, os.getpid()):
        return "this process was forked from the process that has the fork server"
    if _started_with not in (None, now):
        return "a variable that libraries read when they are loaded has changed"
    if _is_taken():
        return "the program uses the fork server of multiprocessing for itself"
    try:
        set_forkserver_preload(PRELOADED)
        with _same_path(), _short_folder():
            resource_tracker.ensure_running()  # apart, since its start lifts the mask of signals
            with _deaf_to_interrupts():
                forkserver.ensure_running()
    except OSError as error:
        return f"the fork server did not start ({error})"
    _started_with, _started_by = now, os.getpid()
    return ""


def _is_taken() -> bool:
    """Whether the program has started the server before us, or has had it preload other modules."""
    server = forkserver._forkserver
    preloaded = server._preload_modules  # type: ignore[attr-defined]
    if _started_by is None and server._forkserver_pid is not None:  # type: ignore[attr-defined]
        return True
    return preloaded not in (PRELOADED, _PRELOADED_BY_DEFAULT)


def _read_at_load(environment: Mapping[str, str]) -> dict[str, str]:
    found = {k: v for k, v in environment.items() if k.startswith(_READ_AT_LOAD)}
    return {k: v for k, v in found.items() if k not in _SET_BY_LIBRARIES}


@contextmanager
def _same_path() -> Iterator[None]:
    """Has a new Python process look for modules where this one does, and in no other folder.

    Python starts the server as a command, for which it would look into the working directory first.
    pyarrow starts no thread in the process.
    """
    jemalloc = filter(None, (os.environ.get(_JEMALLOC), "background_thread:false"))
    wanted = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONSAFEPATH": "1",
        _JEMALLOC: ",".join(jemalloc),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Has a new process get no SIGINT: Ctrl-C is for us, and the server would show a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_folder() -> Iterator[None]:
    """Gives multiprocessing a short name of a deep temporary folder.

    multiprocessing asks for the folder once and puts the server's socket there, whose address has
    little room.
    """
    before, folder = tempfile.tempdir, tempfile.gettempdir()
    if len(os.fsencode(folder)) + _ADDRESS_NEED > _ADDRESS_ROOM:
        tempfile.tempdir = _short_name(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@cache
def _short_name(folder: str) -> str:
    """Another name of the folder, for this process and its children as long as this one lives."""
    return f"/proc/{os.getpid()}/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY)}"
