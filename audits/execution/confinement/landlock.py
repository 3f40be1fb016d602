"""Landlock: a process gives up all files but a list of folders, without any right of root.

See https://docs.kernel.org/userspace-api/landlock.html. The kernel says which version of the
interface it has (`version`); an older one knows fewer rights, and those are then not taken away.
Landlock does not hide that a file exists, how large it is, or who owns it, and it does not keep
`chmod` and its like from a file; `seccomp.py` does.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from audits.execution.confinement.linux import expect_alone, system_call

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same number on all machines
_ASK_VERSION, _PATH_BENEATH = 1, 1

# From linux/landlock.h: rights by the version of the interface that brought them.
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_REMOVE = 0x30  # files and folders
_MAKE_FOLDER, _MAKE_FILE, _MAKE_LINK = 0x80, 0x100, 0x1000
_FIRST = 0x1FFF  # those of version 1, with the making of sockets, pipes and devices
_RENAME, _TRUNCATE, _DEVICE_COMMANDS = 0x2000, 0x4000, 0x8000  # versions 2, 3, 5
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE_COMMANDS
_TCP = 3  # bind and connect; version 4
_SCOPES = 3  # abstract Unix sockets and signals; version 6

READ = _READ | _LIST
LIST = _LIST  # the names in a folder and below, not the content of the files
CHANGE = READ | _WRITE | _TRUNCATE  # the content of files that are there
DEVICE = _READ | _WRITE | _LIST | _DEVICE_COMMANDS
WRITE = READ | _WRITE | _REMOVE | _MAKE_FOLDER | _MAKE_FILE | _MAKE_LINK | _RENAME | _TRUNCATE


@dataclass(frozen=True)
class Allowed:
    """A file or folder, with all below it, that the process keeps rights to."""

    path: str
    rights: int = READ


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "network", "scopes")]


class _Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def version() -> int:
    """The version of the kernel's interface. Raises OSError if the kernel has none."""
    return system_call("landlock", _CREATE, None, 0, _ASK_VERSION)


def restrict(allowed: Iterable[Allowed]) -> None:
    """Takes away all files but `allowed`, TCP, and other processes' signals and abstract sockets.

    Paths that do not exist are passed over. Call it with
    one thread, after `forbid_new_privileges`, and after all mounts: it forbids them. Raises OSError
    if the kernel does not allow it; nothing is restricted then.
    """
    expect_alone()
    known = version()
    handled = _FIRST
    for since, right in ((2, _RENAME), (3, _TRUNCATE), (5, _DEVICE_COMMANDS)):
        handled |= right if known >= since else 0
    rules = _Ruleset(
        files=handled,
        network=_TCP if known >= 4 else 0,
        scopes=_SCOPES if known >= 6 else 0,
    )
    size = 8 if known < 4 else 16 if known < 6 else 24
    ruleset = system_call("landlock_create_ruleset", _CREATE, ctypes.byref(rules), size, 0)
    try:
        for one in allowed:
            _add(ruleset, one, handled)
        system_call("landlock_restrict_self", _RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, allowed: Allowed, handled: int) -> None:
    try:
        place = os.open(allowed.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it does not exist here, or the process could not reach it anyway
        return
    try:
        rights = allowed.rights & handled
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        beneath = _Beneath(rights=rights, folder=place)
        arguments = (ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)
        system_call("landlock_add_rule", _ADD, *arguments)
    finally:
        os.close(place)
