"""Functions that tests run in a worker: some work, some fail, some never end."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from audits.errors import AuditError, ModelRefused, NotApplicable

ERRORS = {error.__name__: error for error in (AuditError, ModelRefused, NotApplicable)}


def double(values):
    return values * 2


def environment():
    return dict(os.environ)


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


def allocate_torch(gib):
    return torch.ones(int(gib * (1 << 30)), dtype=torch.uint8).sum().item()


def allocate_numpy(gib):
    return int(np.ones(int(gib * (1 << 30)), dtype=np.uint8).sum())


def forget_the_data():
    """Makes the child open model and data again, as a new child would."""
    from audits.execution import child

    child.close_model()
