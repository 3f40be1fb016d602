"""Code of a hostile model that is after files: says which of its attempts succeeded."""

import contextlib
import ctypes
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

Attempts = dict[str, Callable[[], object]]


def reads(secret: str, home: str) -> list[str]:
    """Of a secret file that this user may read."""
    name = os.path.basename(secret)

    def by_link():
        link = Path(tempfile.mkdtemp(), "link")
        link.symlink_to(secret)
        return link.read_bytes()

    def by_name():
        link = Path(tempfile.mkdtemp(), "name")
        os.link(secret, link)
        return link.read_bytes()

    def by_folder():
        folder = os.open(os.path.dirname(secret), os.O_PATH)
        return os.read(os.open(name, os.O_RDONLY, dir_fd=folder), 1)

    def by_working_folder():
        os.chdir(os.path.dirname(secret))
        return Path(name).read_bytes()

    def by_reopening():
        return Path(f"/proc/self/fd/{os.open(secret, os.O_PATH)}").read_bytes()

    def by_mapping():
        library = ctypes.CDLL(secret)
        return library

    return succeeded(
        {
            "open": lambda: Path(secret).read_bytes(),
            "a symbolic link": by_link,
            "another name": by_name,
            "its folder": by_folder,
            "the working folder": by_working_folder,
            "opening again": by_reopening,
            "the root of the process": lambda: Path(f"/proc/self/root{secret}").read_bytes(),
            "the root of the parent": lambda: Path(f"/proc/1/root{secret}").read_bytes(),
            "the list of its folder": lambda: os.listdir(os.path.dirname(secret)),
            "the list of the home": lambda: os.listdir(home),
            "the list of all": lambda: os.listdir("/"),
            "the list of users": lambda: Path("/etc/passwd").read_bytes(),
            "shadow": lambda: Path("/proc/self/root/etc/shadow").read_bytes(),
            "memory of the machine": lambda: os.open("/proc/kcore", os.O_RDONLY),
            "a disk": lambda: os.open("/dev/vda", os.O_RDONLY),
        }
    )


def writes(folder: str, file: str, shared: str) -> list[str]:
    """Into a folder of this user, into a file in it, and into memory that processes share."""

    def by_link():
        link = Path(tempfile.mkdtemp(), "link")
        link.symlink_to(folder)
        (link / "pried").write_text("")

    def by_moving():
        own = Path(tempfile.mkdtemp(), "own")
        own.write_text("")
        own.rename(Path(folder, "moved"))

    def by_taking():
        os.rename(file, Path(tempfile.mkdtemp(), "taken"))

    def by_reopening():
        with open(f"/proc/self/fd/{os.open(file, os.O_PATH)}", "w"):
            pass

    return succeeded(
        {
            "a new file": lambda: Path(folder, "new").write_text(""),
            "a file": lambda: Path(file).open("r+"),
            "its length": lambda: os.truncate(file, 0),
            "a symbolic link": by_link,
            "moving in": by_moving,
            "opening again": by_reopening,
            "another name": lambda: os.link(file, Path(folder, "name")),
            "a link": lambda: os.symlink("/", Path(folder, "away")),
            "a folder": lambda: os.mkdir(Path(folder, "folder")),
            "a pipe": lambda: os.mkfifo(Path(folder, "pipe")),
            "the mode": lambda: os.chmod(file, 0o777),
            "the mode of the folder": lambda: os.chmod(folder, 0o777),
            "the mode by descriptor": lambda: os.fchmod(os.open(file, os.O_RDONLY), 0o777),
            "the owner": lambda: os.chown(file, os.getuid(), os.getgid()),
            "the time": lambda: os.utime(file),
            "an attribute": lambda: os.setxattr(file, "user.pried", b""),
            "shared memory": lambda: Path(shared).open("r+"),
            "a lease": lambda: fcntl.fcntl(
                os.open(file, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK
            ),
            "moving out": by_taking,
            "removing": lambda: os.unlink(
                Path(folder, "new" if "new" in os.listdir(folder) else file)
            ),
        }
    )


def fills(most: int) -> tuple[int, str]:
    """Bytes that it wrote into its folder before it was stopped, and how; at most `most`."""
    written = 0
    reason = "nothing"
    for number in range(1000):
        before = written
        try:
            with Path(tempfile.gettempdir(), str(number)).open("wb", 0) as file:
                while written < most:
                    written += file.write(bytes(1 << 20))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        if written == before:
            break
    return written, reason


def opens(most: int) -> int:
    """Files that it could hold open at once, at most `most`."""
    held: list[int] = []
    try:
        while len(held) < most:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for descriptor in held:
        os.close(descriptor)
    return len(held)


def has_open() -> list[str]:
    """The files that are open in the process."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def succeeded(attempts: Attempts) -> list[str]:
    found = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        found.append(name)
    return found
