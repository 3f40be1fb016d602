"""The fork server: a process that has imported the slow libraries and is forked for each worker.

Importing torch, MLflow and what they need takes a worker seconds; the fork of a process that has
them takes a fraction of one. The server is multiprocessing's, of which a process has at most one.
It imports libraries and nothing else: it asks nothing of a GPU, runs no model, and starts no thread
of Python's, so that forking it is safe. It imports no module of ours and none of the user's: each
worker imports these from the `sys.path` of the moment when it is started. The server ends with the
process that started it, however that ends, though not before its imports are done.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker, set_forkserver_preload
from multiprocessing.context import BaseContext

# Modules that a worker imports until its model is open and its check is concluded. The server
# passes over a module that this release of a library does not have; workers then import more.
PRELOADED = [
    "mlflow.pytorch",
    "torch.export._trace",  # most of what `torch.export.load` imports, sympy and triton among it
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.metrics",
    "sklearn.model_selection",
    "PIL.Image",
    "fsspec",
    "pebble",
]
# Variables with these beginnings are read when Python or a library is loaded, in the server.
_READ_AT_LOAD = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "ATEN_", "ONEDNN_"),
    *("DNNL_", "TORCH_", "PYTORCH_", "LD_", "MALLOC_", "GLIBC_", "ARROW_", "PYTHONHASHSEED"),
)
_SET_BY_SKLEARN = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")  # when it is imported

_lock = threading.Lock()
_started_with: dict[str, str] | None = None  # those variables, when the server was started
_started_by: int | None = None  # process id


def context() -> BaseContext:
    """The way to start a worker: forked from the server, or spawned if `start` says so."""
    return get_context("forkserver" if start() else "spawn")


def start() -> bool:
    """Starts the server, which then imports while the caller goes on; only once in a process.

    False if workers must be spawned: on another system than Linux, in a fork of the process that
    started the server, or if a variable that libraries read when they are loaded has changed since.
    """
    global _started_with, _started_by
    if sys.platform != "linux":
        return False
    with _lock:
        now = _read_at_load(os.environ)
        if _started_by is None:
            set_forkserver_preload(PRELOADED)
            resource_tracker.ensure_running()  # now, since starting it lifts the mask of signals
            with _same_path(), _deaf_to_interrupts():
                forkserver.ensure_running()
            _started_with, _started_by = now, os.getpid()
        return _started_with == now and _started_by == os.getpid()


def _read_at_load(environment: Mapping[str, str]) -> dict[str, str]:
    found = {k: v for k, v in environment.items() if k.startswith(_READ_AT_LOAD)}
    return {k: v for k, v in found.items() if k not in _SET_BY_SKLEARN}


@contextmanager
def _same_path() -> Iterator[None]:
    """Has a new Python process look for modules where this one does, and in no other folder.

    Python starts the server as a command, for which it would look into the working directory first.
    """
    wanted = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
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
