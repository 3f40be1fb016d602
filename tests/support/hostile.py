"""Code of a hostile model: each function says which of its attempts to get out succeeded."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from hostile_files import succeeded

from audits.execution.cell import Cell, Inside, enter
from audits.execution.confinement import lifeline as lifelines
from audits.execution.confinement.linux import call, system_call

_X86 = platform.machine() == "x86_64"


def connects(tcp: int, udp: int, path: str, abstract: str) -> list[str]:
    """To servers of this machine."""

    def sent(kind: int, address: str | tuple[str, int], family: int = socket.AF_INET) -> None:
        with socket.socket(family, kind) as one:
            one.settimeout(5)
            one.connect(address)
            one.send(b"pried")

    return succeeded(
        {
            "TCP": lambda: sent(socket.SOCK_STREAM, ("127.0.0.1", tcp)),
            "UDP": lambda: sent(socket.SOCK_DGRAM, ("127.0.0.1", udp)),
            "Unix": lambda: sent(socket.SOCK_STREAM, path, socket.AF_UNIX),
            "abstract": lambda: sent(socket.SOCK_STREAM, f"\0{abstract}", socket.AF_UNIX),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).bind((0, 0)),
            "raw": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
            "a pair": lambda: socket.socketpair(),
            "a server": lambda: socket.create_server(("127.0.0.1", 0)),
        }
    )


def starts() -> list[str]:
    """New processes and programs; each that starts is ended at once."""

    def forked():
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    def cloned(flags: int):
        child = system_call("clone", 56 if _X86 else 220, flags | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    def cloned_anew():
        arguments = struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
        child = system_call("clone3", 435, arguments, len(arguments))
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    def bomb():
        for _ in range(1000):
            with contextlib.suppress(OSError):
                forked()
                return
        raise OSError("none of 1000")

    return succeeded(
        {
            "fork": forked,
            "bomb": bomb,
            "clone": lambda: cloned(0),
            "clone into namespaces": lambda: cloned(0x10000000),
            "clone3": cloned_anew,
            "a command": lambda: subprocess.run(["/bin/true"], check=True),
            "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
            "fork_exec": lambda: subprocess.run([sys.executable, "-V"], preexec_fn=int),
        }
    )


def becomes() -> str:
    """Turns the process into another program; only a refusal comes back."""
    refused = []
    descriptor = os.open(os.__file__, os.O_RDONLY)
    for program in ("/bin/true", sys.executable, descriptor, "/nonexistent"):
        try:
            os.execve(program, ["program", "-V"], {})
        except OSError as error:
            refused.append(error.errno == errno.EPERM)
    return "refused" if all(refused) else "not refused"


def disturbs(victim: int) -> list[str]:
    """Another process of this user; the signals are such that it survives all but the last."""

    def by_file():
        reading = os.pipe()[0]
        fcntl.fcntl(reading, fcntl.F_SETOWN, victim)
        fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGTERM)

    def attached():
        call("ptrace", 16, victim, None, None)
        os.waitpid(victim, 0)
        call("ptrace", 17, victim, None, None)

    def peeked():
        buffer = ctypes.create_string_buffer(8)
        vector = struct.pack("PQ", ctypes.addressof(buffer), 8)
        maps = Path(f"/proc/{victim}/maps").read_text()
        remote = struct.pack("PQ", int(maps.split("-")[0], 16), 8)
        call("process_vm_readv", victim, vector, 1, remote, 1, 0)

    def taken():
        other = system_call("pidfd_open", 434, victim, 0)
        system_call("pidfd_getfd", 438, other, 0, 0)

    return succeeded(
        {
            "signal 0": lambda: os.kill(victim, 0),
            "a signal": lambda: os.kill(victim, signal.SIGCONT),
            "a signal to a thread": lambda: call("tgkill", victim, victim, signal.SIGCONT),
            "a queued signal": lambda: call("sigqueue", victim, signal.SIGCONT, None),
            "a signal by descriptor": lambda: signal.pidfd_send_signal(
                os.pidfd_open(victim), signal.SIGCONT
            ),
            "a signal of a file": by_file,
            "its environment": lambda: Path(f"/proc/{victim}/environ").read_bytes(),
            "its memory": lambda: os.open(f"/proc/{victim}/mem", os.O_RDWR),
            "its files": lambda: os.listdir(f"/proc/{victim}/fd"),
            "its command": lambda: Path(f"/proc/{victim}/cmdline").read_bytes(),
            "reading its memory": peeked,
            "taking its file": taken,
            "tracing": attached,
            "its limits": lambda: resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0)),
            "its priority": lambda: os.setpriority(os.PRIO_PROCESS, victim, 5),
            "its end": lambda: os.kill(victim, signal.SIGKILL),
        }
    )


def loosens() -> list[str]:
    """Its own bounds."""

    def raised(kind: int) -> None:
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY:
            raise OSError("there is no limit")
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
        except ValueError as error:
            raise OSError(str(error)) from error

    return succeeded(
        {
            "file size": lambda: raised(resource.RLIMIT_FSIZE),
            "open files": lambda: raised(resource.RLIMIT_NOFILE),
            "core": lambda: raised(resource.RLIMIT_CORE),
            "users": lambda: call("unshare", 0x10000000),
            "mounts": lambda: call("unshare", 0x20000),
            "a mount": lambda: call("mount", b"/", b"/mnt", None, 0x1000, None),
            "no mount": lambda: call("umount2", tempfile.gettempdir().encode(), 2),
            "another root": lambda: os.chroot(tempfile.gettempdir()),
            "another user": lambda: os.setresuid(0, 0, 0),
            "another network": lambda: call("setns", os.open("/proc/self/ns/net", 0), 0),
            "io_uring": lambda: system_call("io_uring_setup", 425, 1, bytes(120)),
            "memory of no file": lambda: os.memfd_create("pried"),
            "memory without a limit": lambda: call("shmget", 0x1234, 4096, 0o1600),
            "memory of no device": lambda: mmap.mmap(
                os.open("/dev/zero", os.O_RDWR), 4096, mmap.MAP_SHARED
            ),
            "memory that is shared": lambda: mmap.mmap(-1, 4096, mmap.MAP_SHARED),
            "addresses": lambda: raised(resource.RLIMIT_AS),
            "names of new files": lambda: call(
                "inotify_add_watch", call("inotify_init"), b"/", 256
            ),
            "keys": lambda: system_call("keyctl", 250 if _X86 else 219, 0, -3, 1),
            "faults": lambda: system_call("userfaultfd", 323 if _X86 else 282, 1),
            "a newer call": lambda: system_call("a newer call", 471, 0),
            "the console": lambda: fcntl.ioctl(0, 0x5412, b"x"),
            "the terminal": lambda: os.open("/dev/tty", os.O_RDWR),
        }
    )


def has_helpers() -> bool:
    """Whether it can reach multiprocessing's fork server or resource tracker."""
    alive = forkserver._forkserver._forkserver_alive_fd
    return alive is not None or resource_tracker._resource_tracker._fd is not None


def clings_in(writing: Connection, life: Connection, own: str, place: str) -> None:
    """Clings to life, in a cell if `place` is "cell"."""
    file = lifelines.watch(life.fileno())
    if place == "cell":
        enter(Inside(Cell("0", "Why."), own, ()), lifeline=file, keep={writing.fileno()})
    clings(writing.fileno(), file)


def clings(writing: int, lifeline: int) -> None:
    """Does all it can to outlive its parent, then waits; `writing` is closed by its end alone."""
    for number in range(1, 65):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        fcntl.fcntl(lifeline, fcntl.F_SETFL, 0)
    with contextlib.suppress(OSError):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, 0)
    with contextlib.suppress(OSError):
        fcntl.fcntl(os.dup(lifeline), fcntl.F_SETFL, 0)
    with contextlib.suppress(OSError):
        fcntl.ioctl(lifeline, 0x5452, struct.pack("i", 0))
    with contextlib.suppress(OSError):
        os.dup2(0, lifeline)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.open(f"/proc/self/fd/{name}", os.O_WRONLY)
    for descriptor in range(5000):
        if descriptor != writing:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    os.write(writing, b"clung")
    while True:
        signal.pause()
