"""Functions that tests run in a worker: some work, some fail, some never end."""

import ctypes
import importlib.util
import os
import pickle
import signal
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from audits.errors import AuditError, ModelRefused, NotApplicable
from audits.execution import wire

ERRORS = {error.__name__: error for error in (AuditError, ModelRefused, NotApplicable)}


def double(values):
    return values * 2


def environment():
    return dict(os.environ)


def is_importable(name: str) -> bool:
    """Whether the import system finds a module that is not imported yet."""
    return importlib.util.find_spec(name) is not None


def is_imported(name):
    return name in sys.modules


def sleep():
    time.sleep(3600)


def sleep_after(path):
    """Makes a file at `path`, which says that the call has begun."""
    Path(path).touch()
    time.sleep(3600)


def kill_parent_and_sleep(path):
    """Kills the fork server that started this process, then sleeps without a parent."""
    os.kill(os.getppid(), signal.SIGKILL)
    sleep_after(path)


def sleep_through_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def spin_in_c():
    """Keeps the interpreter's lock in one C loop, in which no signal is handled."""
    sum(range(1 << 62))


def leave():
    os._exit(3)


def segfault():
    ctypes.string_at(0)


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(name, message):
    raise ERRORS[name](message)


def divide_by_zero():
    return 1 // 0


def fail_at_length():
    raise RuntimeError("\nThe first line.\nThe second line.")


def time_out_elsewhere():
    raise TimeoutError("the registry did not answer")


class TwoWords(Exception):
    """An exception that cannot be unpickled, as many libraries have."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_what_cannot_be_unpickled():
    raise TwoWords("one", "two")


def raise_what_cannot_be_pickled():
    error = RuntimeError("it holds a lock")
    error.lock = threading.Lock()
    raise error


def give_what_cannot_be_sent():
    return threading.Lock()


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def send_to_parent(kind, path):
    """Sends something of its own over every socket and pipe that this process has, then waits."""
    pickled = pickle.dumps(_Touch(str(path)))
    message = {
        "pickle": pickled,
        "framed pickle": struct.pack("!i", len(pickled)) + pickled,
        "pickle in an answer": struct.pack("<QQ", len(pickled), 0) + pickled,
        "endless": struct.pack("<QQ", 1 << 62, 1 << 62),
        "half an answer": struct.pack("<QQ", 100, 0) + b"[",
        "another answer": wire.to_bytes({"answer": {"all": "well"}}),
    }[kind]
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2:
            with suppress(OSError):
                os.write(number, message)
    time.sleep(1 if kind == "another answer" else 3600)


def allocate_torch(gib):
    return torch.ones(int(gib * (1 << 30)), dtype=torch.uint8).sum().item()


def allocate_numpy(gib):
    return int(np.ones(int(gib * (1 << 30)), dtype=np.uint8).sum())


def forget_the_data():
    """Makes the child open model and data again, as a new child would."""
    from audits.execution import child

    child.close_model()
