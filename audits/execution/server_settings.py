"""Settings of servers: large batches, other numbers of threads, other kernels."""

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from audits.execution.peak import peak_gib, reset_peak
from audits.models.adapter import NETWORK_ERRORS

_BATCHES = {64: 0.5, 256: 0.5, 1024: 0.5, 4096: 0.5, 16384: 0.25}  # and seconds for one at most
_GIB = 1.0  # by which memory may grow for one
_THREADS, _MORE_THREADS = (1, 2, 3, 4, 8, 16), (6, 12, 24, 32)


def large_batches(net: nn.Module, inputs: Tensor, seconds: float) -> Iterator[tuple[int, Tensor]]:
    """Sizes of batches with their logits: `inputs` (n, ...) again and again.

    `seconds` is what the n inputs took. A batch that would take too much time or memory is not
    asked, nor one for which the network raises an error, which its users would see, or a larger
    one. Of a batch that was asked is looked at how much the next one would take.
    """
    asked, gib = len(inputs), 0.0
    for rows, most in _BATCHES.items():
        if seconds * rows / asked > most or gib * rows / asked > _GIB:
            return
        reset_peak()
        before, started = peak_gib(), time.perf_counter()
        try:
            found = net(inputs.repeat(-(-rows // len(inputs)), 1, 1, 1)[:rows])
        except (*NETWORK_ERRORS, MemoryError):
            return
        yield rows, found
        asked, seconds = rows, time.perf_counter() - started
        gib = peak_gib() - before


def settings(*, many: bool) -> Iterator[tuple[str, AbstractContextManager[None]]]:
    """Settings in words, each with a context in which it holds. `many`: more numbers of threads.

    Numbers of threads for which the process has no room are left out.
    """
    now = torch.get_num_threads()
    for count in _THREADS + _MORE_THREADS * many:
        if count != now and _have_room(count):
            yield f"with {count} threads", _threads(count)
    if torch.backends.mkldnn.is_available():
        yield "without oneDNN", _without_onednn()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _without_onednn() -> Iterator[None]:
    with warnings.catch_warnings():  # of a GPU that this torch does not know
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def _have_room(count: int) -> bool:
    """Whether so many threads can be started: OpenMP ends the process if one cannot."""
    done = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        return False
    finally:
        done.set()
        for thread in started:
            thread.join()
    return True
