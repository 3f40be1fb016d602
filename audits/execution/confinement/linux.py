"""Calls of the C library that Python has no function for."""

import ctypes
import os
import sys

_NO_NEW_PRIVILEGES = 38  # linux/prctl.h


def is_linux() -> bool:
    return sys.platform == "linux"


def is_alone() -> bool:
    """Whether the calling thread is the only one of the process."""
    return len(os.listdir("/proc/self/task")) == 1


def expect_alone() -> None:
    """Raises OSError if the process has several threads: what follows would bind one of them."""
    if not is_linux():
        raise OSError("the system is not Linux")
    if not is_alone():
        raise OSError("the process has several threads")


def forbid_new_privileges() -> None:
    """From here on no program that is started has more rights than this process."""
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def call(name: str, *arguments: object) -> int:
    """A function of the C library that returns -1 for an error. Raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    result: int = function(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def system_call(name: str, number: int, *arguments: object) -> int:
    """A system call that the C library has no function for. Raises OSError, which says `name`."""
    try:
        return call("syscall", number, *arguments)
    except OSError as error:
        raise OSError(error.errno, f"{name}: {os.strerror(error.errno or 0)}") from error
