"""seccomp: the kernel refuses system calls to a process, by a filter that cannot be taken back.

The filter is a program of the kernel's classic BPF: it is built here, since the packages for it
need a C library that few machines have. A refused call fails with EPERM ("Operation not permitted")
and the process goes on, so that a library with another way takes it.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audits.execution.confinement import system_calls
from audits.execution.confinement.linux import call, expect_alone

# From linux/bpf_common.h, linux/seccomp.h, linux/audit.h and linux/prctl.h.
_LOAD, _AND, _EQUAL, _GREATER, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # places in `struct seccomp_data`
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SET_SECCOMP, _FILTER = 22, 2

# From linux/sched.h, asm-generic/fcntl.h, asm-generic/ioctls.h, linux/fs.h and linux/mman.h.
_CLONE_THREAD, _CLONE_NAMESPACES = 0x10000, 0x7E020000
_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX, _SET_LEASE = 8, 10, 15, 1024
_COMMANDS = {
    "type into the terminal": 0x5412,
    "the console's": 0x541C,
    "take the terminal": 0x540E,
    "take the console's output": 0x541D,
    "signals of a file to others": 0x8901,
    "signals of a socket to others": 0x8902,
    "flags of a file": 0x40086602,
    "flags of a file, the other way": 0x401C5820,
}
_SHARED_AND_ANONYMOUS = 0x21
_UNIX = 1  # linux/socket.h
_ALL_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class _Test:
    """Whether 32 bits of an argument, masked, are (or are not) `value`: its lower or upper half."""

    argument: int
    value: int
    mask: int = _ALL_BITS
    equal: bool = True
    upper: bool = False


@dataclass(frozen=True)
class Keeps:
    """The calls that a process keeps, beside those that nobody can do harm with."""

    process: int  # itself: it may send signals to no other
    gpu: bool = False  # the driver's own socket, and memory that the limit does not count
    ownership: bool = False  # to change modes and times of files
    shielded: int | None = None  # a file that it can neither close nor copy nor change


def forbid(keeps: Keeps) -> None:
    """Refuses all that reaches another process, and new processes, programs and sockets.

    Call it last, with one thread, after `forbid_new_privileges`. Raises OSError if the kernel or
    the kind of machine does not allow it; nothing is refused then.
    """
    expect_alone()
    _install(b"".join(_program(keeps)))


def _install(code: bytes) -> None:
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    call("prctl", _SET_SECCOMP, _FILTER, ctypes.create_string_buffer(program, len(program)), 0, 0)


def _program(keeps: Keeps) -> Iterator[bytes]:
    judged = system_calls.numbers(system_calls.JUDGED)
    yield _one(_LOAD, _ARCHITECTURE)
    yield _one(_EQUAL, _ARCHITECTURES[platform.machine()], then=1)
    yield _one(_RETURN, _ERROR | errno.EPERM)  # 32-bit calls have other numbers
    yield _one(_LOAD, _NUMBER)
    yield _one(_GREATER, system_calls.LAST, otherwise=1)
    yield _one(_RETURN, _ERROR | errno.ENOSYS)  # newer ones, and those of the x32 interface

    tables = [system_calls.PROCESSES, system_calls.KERNEL, system_calls.SHARED]
    tables += [] if keeps.ownership else [system_calls.OWNERSHIP]
    tables += [system_calls.CONNECTIONS, *([] if keeps.gpu else [system_calls.OF_GPU])]
    for table in tables:
        for number in system_calls.numbers(table).values():
            yield _refuse(number)

    yield from _of_processes(judged, keeps.process)
    for command in _COMMANDS.values():
        yield _refuse(judged["ioctl"], _Test(1, command))
    kinds = (_Test(0, _UNIX, equal=False),) if keeps.gpu else ()
    yield _refuse(judged["socket"], *kinds)
    for upper in (False, True):  # to an address; without it goes to the other end of a pair
        yield _refuse(judged["sendto"], _Test(4, 0, equal=False, upper=upper))
    if not keeps.gpu:
        shared = _Test(3, _SHARED_AND_ANONYMOUS, mask=_SHARED_AND_ANONYMOUS)
        yield _refuse(judged["mmap"], shared)
    if keeps.shielded is not None:
        yield from _of_file(judged, keeps.shielded)
    yield _one(_RETURN, _ALLOW)


def _of_processes(judged: Mapping[str, int], own: int) -> Iterator[bytes]:
    # The C library takes `clone` instead, whose flags can be seen; those of `clone3` cannot.
    yield _refuse(judged["clone3"], error=errno.ENOSYS)
    yield _refuse(judged["clone"], _Test(0, _CLONE_THREAD, mask=_CLONE_THREAD, equal=False))
    yield _refuse(judged["clone"], _Test(0, 0, mask=_CLONE_NAMESPACES, equal=False))
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        yield _refuse(judged[name], _Test(0, own, equal=False))
    yield _refuse(judged["prlimit64"], _Test(0, 0, equal=False), _Test(0, own, equal=False))
    # A file can send signals: it may send them to this process alone.
    yield _refuse(judged["fcntl"], _Test(1, _SET_OWNER), _Test(2, own, equal=False))
    for command in (_SET_SIGNAL, _SET_OWNER_EX, _SET_LEASE):
        yield _refuse(judged["fcntl"], _Test(1, command))


def _of_file(judged: Mapping[str, int], shielded: int) -> Iterator[bytes]:
    for name in ("close", "dup", "dup2", "dup3", "fcntl", "ioctl"):
        if name in judged:
            yield _refuse(judged[name], _Test(0, shielded))
    for name in ("dup2", "dup3"):
        if name in judged:
            yield _refuse(judged[name], _Test(1, shielded))
    yield _refuse(judged["close_range"])


def _refuse(number: int, *tests: _Test, error: int = errno.EPERM) -> bytes:
    """The instructions that refuse the call `number` if all tests of its arguments hold."""
    left = 3 * len(tests) + 1  # instructions until the number is loaded again
    body = b""
    for test in tests:
        left -= 3
        body += _one(_LOAD, _ARGUMENTS + 8 * test.argument + (4 if test.upper else 0))
        body += _one(_AND, test.mask)
        fails = left
        body += (
            _one(_EQUAL, test.value, otherwise=fails)
            if test.equal
            else _one(_EQUAL, test.value, then=fails)
        )
    body += _one(_RETURN, _ERROR | error)
    if tests:
        body += _one(_LOAD, _NUMBER)
    return _one(_EQUAL, number, otherwise=len(body) // 8) + body


def _one(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction, `struct sock_filter`: it may skip the next `then` or `otherwise` ones."""
    return struct.pack("HBBI", code, then, otherwise, value)
