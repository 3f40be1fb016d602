"""Settings of servers: other numbers of threads, other kernels."""

import _thread
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from audits.errors import ModelRefused
from audits.models.adapter import OwnThreads, own_runtimes, own_threads
from audits.models.frozen import as_loaded

_THREADS, _MORE_THREADS = (1, 2, 3, 4, 8, 16), (6, 12, 24, 32)
_OTHERS, _DRAWN = range(5, 65), 2  # numbers of threads of which some are drawn
# Numbers of threads that servers often have, and those of them that are asked with other kernels.
_COMMON = [*range(1, 9), 10, 12, 14, 16, *range(20, 65, 4), 72, 80, 96, 112, 128]
_MOST_COMMON = [1, 2, 4, 8, 16, 32, 48, 64, 96]
_CHANCE = random.SystemRandom()
ON_THREADS = 2
"""The images that are asked on each of these numbers."""
_A_THREADS_PART = 1 << 15  # numbers, of which torch gives no thread less
_PREPARING = 1.0  # seconds after which no further threads of a network's own are prepared


Settings = Iterator[tuple[str, AbstractContextManager[None]]]


def settings(net: nn.Module, *, many: bool) -> Settings:
    """Settings in words, each with a context in which it holds. `many`: more numbers of threads.

    A number of threads for which the process has no room stays as it is. A network that a runtime
    of its own answers knows none of torch's settings, of which its gradients alone would depend.
    """
    for one in own_threads(net):
        yield from _of_own_threads(one, many)
    if own_runtimes(net):
        return
    yield "with parameters that require gradients", as_loaded(net)
    yield "with gradients", _with_gradients(net)
    yield "in inference mode", torch.inference_mode()
    now = torch.get_num_threads()
    for count in _numbers(many):
        if count != now:
            yield f"with {count} threads", _threads(count)
    if torch.backends.mkldnn.is_available():
        yield "without oneDNN", _without_onednn()
    yield "with NaN in memory in which nothing was put", _filled_memory()
    yield "with tiny numbers flushed to 0", _set(torch.set_flush_denormal, True, False)
    yield _default_dtype(torch.float64)


@contextmanager
def _with_gradients(net: nn.Module) -> Iterator[None]:
    """As programs ask that forget torch.no_grad."""
    with as_loaded(net), torch.enable_grad():
        yield


def _default_dtype(dtype: torch.dtype) -> tuple[str, AbstractContextManager[None]]:
    setting = _set(torch.set_default_dtype, dtype, torch.get_default_dtype())
    return f"with {dtype} as the default dtype", setting


def rough_settings(net: nn.Module, device: torch.device) -> Settings:
    """As `settings`, of those that compute in less than float32: a class may be another one."""
    if own_runtimes(net):
        return
    for dtype in (torch.bfloat16, torch.float16):
        yield f"under autocast to {dtype}", torch.autocast(device.type, dtype)
        yield _default_dtype(dtype)
    precision = torch.get_float32_matmul_precision()
    medium = _set(torch.set_float32_matmul_precision, "medium", precision)
    yield "with medium precision of matrices", medium


def _numbers(many: bool) -> list[int]:
    """Numbers of threads. Some are drawn, so that a network cannot know all of them."""
    return [*_THREADS, *_CHANCE.sample(_OTHERS, _DRAWN), *_MORE_THREADS * many]


def numbers_of_threads(net: nn.Module, *, many: bool) -> Settings:
    """Common numbers of threads of servers, in words, each with a context in which it holds.

    Without `many` they are fewer. Those of torch begin with the largest for which there is room: no
    thread is started afterwards, when the room may be taken. Of a network's own threads numbers by
    chance are prepared, for up to a second.
    """
    for one in own_threads(net):
        yield from _prepared(one, _CHANCE.sample(_COMMON, len(_COMMON)))
    if own_runtimes(net):
        return
    now, started = torch.get_num_threads(), False
    for count in reversed(_COMMON if many else _MOST_COMMON):
        if started or _have_room(count):
            setting = _set(torch.set_num_threads, count, now) if started else _threads(count)
            started = True
            yield f"with {count} threads", setting


def _of_own_threads(net: OwnThreads, many: bool) -> Settings:
    """Numbers of its own threads, that of its files first; each takes memory for the weights."""
    stated = [net.stated_threads] if net.stated_threads else []
    yield from _prepared(net, dict.fromkeys((*stated, *_numbers(many))))


def _prepared(net: OwnThreads, counts: Iterable[int]) -> Settings:
    spent = 0.0
    for count in counts:
        if spent > _PREPARING:
            return
        if not _have_room(count):
            continue
        started = time.perf_counter()
        try:
            inside = net.on_threads(count)
        except (ModelRefused, MemoryError):  # its users would see it, on such a machine
            continue
        spent += time.perf_counter() - started
        yield f"with {count} threads", inside


@contextmanager
def _set(setting: Callable[[Any], Any], value: Any, before: Any) -> Iterator[None]:
    """Inside, one of torch's settings has the value; then it is put back."""
    setting(value)
    try:
        yield
    finally:
        setting(before)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Starts all threads at once: later the network may have taken the room for them."""
    if not _have_room(count):
        yield
        return
    with _set(torch.set_num_threads, count, torch.get_num_threads()):
        torch.zeros(count * _A_THREADS_PART).add_(1)
        yield


@contextmanager
def _without_onednn() -> Iterator[None]:
    with warnings.catch_warnings():  # of a GPU that this torch does not know
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextmanager
def _filled_memory() -> Iterator[None]:
    """Inside, torch fills what `torch.empty` gives, and room for results of operators, with NaN."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():  # of operators whose sums may be in another order
        warnings.filterwarnings("ignore", message=".*deterministic")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warned)


def _have_room(count: int) -> bool:
    """Whether so many threads can be started: OpenMP ends the process if one cannot.

    `threading.Thread` would wait for the beginning of each.
    """
    go_on, ended, started = threading.Event(), threading.Semaphore(0), 0

    def wait() -> None:
        try:
            go_on.wait()
        finally:
            ended.release()

    try:
        for _ in range(count):
            _thread.start_new_thread(wait, ())
            started += 1
    except (RuntimeError, MemoryError):
        return False
    finally:
        go_on.set()
        for _ in range(started):
            ended.acquire()
    return True
