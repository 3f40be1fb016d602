"""Linux namespaces for a process that has one thread: no network, and files that it cannot write.

Nothing here can be taken back in the process that calls it. Many containers forbid namespaces.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from audits.execution.confinement.linux import call, expect_alone, forbid_new_privileges

# From linux/sched.h, sys/mount.h, linux/mount.h, linux/prctl.h and linux/capability.h.
_NO_SET_USER, _NO_DEVICES = 2, 4
_NEW_FILES, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
_BIND, _ALL, _PRIVATE = 0x1000, 0x4000, 0x40000
_SYS_MOUNT_SETATTR, _HERE, _RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_DROP_FROM_BOUND, _CAPABILITIES_3 = 24, 0x20080522
_READ_ALL = 2  # the capability by which root reads the files of others
_FILES_PER_FOLDER = 100_000
SHARED_MEMORY = "/dev/shm"
ROOM_FOR_LOCKS = 4 << 20  # bytes


class _Attributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user")]


def leave() -> bool:
    """Gives the process a view of the files of its own, and takes the network away.

    Whether it also got a user namespace: root stays root, another user needs one for the rest.
    Raises OSError if the kernel does not allow it; the process then has no more rights than before.
    """
    expect_alone()
    flags = _NEW_FILES | _NEW_NETWORK
    user, group = os.geteuid(), os.getegid()
    try:
        call("unshare", flags)
        return False
    except PermissionError:
        call("unshare", flags | _NEW_USER)
        _tell("setgroups", "deny")
        _tell("uid_map", f"{user} {user} 1")
        _tell("gid_map", f"{group} {group} 1")
        return True


def _tell(name: str, text: str) -> None:
    """Raises OSError, which names the file: the kernel refuses root a name without some rights."""
    try:
        Path("/proc/self", name).write_text(text)
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}") from error


def freeze_files(
    own: str,
    size: int,
    writable: Iterable[str],
    hidden: Iterable[str],
    readable: Iterable[str] = (),
) -> None:
    """Makes all files read-only but those below `own` and `writable`; shows `hidden` as empty.

    `own` becomes an empty file system in memory that holds at most `size` bytes. `SHARED_MEMORY`,
    where locks are made, becomes a small one, unless one of the other folders or of `readable` is
    in there: then it stays, read-only. The process can still write what the kernel keeps about
    itself: CUDA names its threads there. Call it after `leave`. Raises OSError, at the latest with
    files that are still writable.
    """
    place = os.fsencode(os.path.realpath(own))
    folders = [os.fsencode(os.path.realpath(one)) for one in (*writable, "/proc/self")]
    call("mount", None, b"/", None, _ALL | _PRIVATE, None)
    for folder in folders:
        call("mount", folder, folder, None, _BIND | _ALL, None)
    for socket_folder in hidden:
        _mount_memory(os.fsencode(os.path.realpath(socket_folder)), "size=4k")
    _mount_memory(place, f"size={size},nr_inodes={_FILES_PER_FOLDER},mode=700")
    folders.append(place)
    needed = any(map(_is_in_shared_memory, (own, *writable, *readable)))
    if os.path.isdir(SHARED_MEMORY) and not needed:
        folders.append(os.fsencode(SHARED_MEMORY))
        _mount_memory(folders[-1], f"size={ROOM_FOR_LOCKS},nr_inodes=1000,mode=700")
    _set_attributes(b"/", _Attributes(set=_READ_ONLY), _RECURSIVE)
    for folder in folders:
        _set_attributes(folder, _Attributes(clear=_READ_ONLY), 0)


def _is_in_shared_memory(path: str) -> bool:
    shared = os.path.realpath(SHARED_MEMORY)
    return os.path.commonpath((shared, os.path.realpath(path))) == shared


def _mount_memory(place: bytes, options: str) -> None:
    call("mount", b"none", place, b"tmpfs", _NO_SET_USER | _NO_DEVICES, options.encode())


def drop_privileges() -> None:
    """Gives up, for the process and all that it starts, the rights to undo what was done here.

    Root keeps the right to read files of others, since images may be theirs.
    """
    kept = {_READ_ALL} if os.geteuid() == 0 else set()
    forbid_new_privileges()
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in set(range(last + 1)) - kept:
        try:
            call("prctl", _DROP_FROM_BOUND, capability, 0, 0, 0)
        except PermissionError:  # a process without capabilities cannot get any by it
            break
    bits = sum(1 << capability for capability in kept) & _permitted()
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)  # effective, permitted, inheritable; twice
    call("capset", header, sets)


def _permitted() -> int:
    """The capabilities that the process may have, as bits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:"))


def _set_attributes(path: bytes, attributes: _Attributes, flags: int) -> None:
    call(
        "syscall",
        *(_SYS_MOUNT_SETATTR, _HERE, path, flags),
        *(ctypes.byref(attributes), ctypes.sizeof(attributes)),
    )
