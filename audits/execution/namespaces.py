"""Linux namespaces for a process that has one thread: no network, and files that it cannot write.

Nothing here can be taken back in the process that calls it.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

# From linux/sched.h, sys/mount.h, linux/mount.h, linux/prctl.h and linux/capability.h.
_NEW_FILES, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
_BIND, _ALL, _PRIVATE = 0x1000, 0x4000, 0x40000
_SYS_MOUNT_SETATTR, _HERE, _RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_NO_NEW_PRIVILEGES, _DROP_FROM_BOUND, _CAPABILITIES_3 = 38, 24, 0x20080522
_OVERRIDE_MODES, _ACT_AS_OWNER = 1, 3  # capabilities by which root reads and writes others' files


class _Attributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user")]


def is_alone() -> bool:
    """Whether the calling thread is the only one of the process."""
    return len(os.listdir("/proc/self/task")) == 1


def leave(*, network: bool) -> None:
    """Gives the process a view of the files of its own and, if `network`, takes the network away.

    Raises OSError if the kernel does not allow it; the process is then as before. Root stays root;
    another user gets a user namespace too.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has namespaces")
    if not is_alone():
        raise OSError("the process has several threads")
    flags = _NEW_FILES | (_NEW_NETWORK if network else 0)
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", flags)
    except PermissionError:
        _call("unshare", flags | _NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def freeze_files(writable: Iterable[str], hidden: Iterable[str]) -> None:
    """Makes all files read-only but those below the folders `writable`; shows `hidden` as empty.

    The process can still write what the kernel keeps about itself: CUDA names its threads there.
    Call it after `leave`. Raises OSError, at the latest with files that are still writable.
    """
    folders = [os.fsencode(os.path.realpath(one)) for one in (*writable, "/proc/self")]
    _call("mount", None, b"/", None, _ALL | _PRIVATE, None)
    for folder in folders:
        _call("mount", folder, folder, None, _BIND | _ALL, None)
    for socket_folder in hidden:
        place = os.fsencode(os.path.realpath(socket_folder))
        _call("mount", b"none", place, b"tmpfs", 0, b"size=4k")
    _set_attributes(b"/", _Attributes(set=_READ_ONLY), _RECURSIVE)
    for folder in folders:
        _set_attributes(folder, _Attributes(clear=_READ_ONLY), 0)


def drop_privileges() -> None:
    """Gives up, for the process and all that it starts, the rights to undo what was done here.

    Root keeps the rights to read and write files of others, since images may be theirs.
    """
    kept = {_OVERRIDE_MODES, _ACT_AS_OWNER} if os.geteuid() == 0 else set()
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in set(range(last + 1)) - kept:
        try:
            _call("prctl", _DROP_FROM_BOUND, capability, 0, 0, 0)
        except PermissionError:  # a process without capabilities cannot get any by it
            break
    bits = sum(1 << capability for capability in kept) & _permitted()
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)  # effective, permitted, inheritable; twice
    _call("capset", header, sets)


def _permitted() -> int:
    """The capabilities that the process may have, as bits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:"))


def _set_attributes(path: bytes, attributes: _Attributes, flags: int) -> None:
    _call(
        "syscall",
        *(_SYS_MOUNT_SETATTR, _HERE, path, flags),
        *(ctypes.byref(attributes), ctypes.sizeof(attributes)),
    )


def _call(name: str, *arguments: object) -> None:
    """A function of the C library that returns -1 for an error. Raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
