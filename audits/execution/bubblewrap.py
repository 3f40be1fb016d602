"""Bubblewrap: the command `bwrap` starts a model's process in a view of the files of its own.

The process sees the files that it is given to read and nothing else, not even the names of others.
It has process ids, a network and an IPC namespace of its own. The rest of the cell (`cell.py`) is
put up inside. See https://github.com/containers/bubblewrap.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from audits.errors import AuditError, shortened
from audits.execution import cell
from audits.execution.cell import Inside
from audits.execution.confinement.landlock import LIST, WRITE, Allowed
from audits.execution.confinement.namespaces import ROOM_FOR_LOCKS, SHARED_MEMORY
from audits.execution.elsewhere import Python

_MOST_LINKS = 40  # on the way to one file, as in the kernel
_TRIAL_SECONDS = 30
_LONGEST = 200  # characters of what bwrap says
_OF_MANY_LINKS = "/etc/alternatives"  # by which libraries of the system are found


def expect_available() -> None:
    """Raises AuditError if bwrap is not installed, or if it cannot start a process here."""
    command = [_program(), *_namespaces(), *_own_folder("/tmp", 1 << 20)]
    command += ["--ro-bind", "/", "/mnt", "--", "/mnt/nothing"]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TRIAL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refused(str(error)) from error
    told = tried.stderr.strip()
    # All is set up before bwrap looks for the program, which does not exist.
    if "/mnt/nothing" not in told:
        raise _refused(told or f"exit code {tried.returncode}")


def command(inside: Inside, python: Python) -> tuple[str, ...]:
    """The words that stand before the command line of `python`. Raises AuditError without bwrap."""
    given = [*cell.allowed(inside, python.path), Allowed(_OF_MANY_LINKS), *_program_of(python)]
    words = [_program(), *_namespaces(), *_mounts(given), "--dir", os.getcwd()]
    if inside.gpu:
        for one in given:
            if one.path.startswith("/dev/nvidia"):
                words += ["--dev-bind-try", one.path, one.path]
    for folder in map(os.path.realpath, inside.cell.writable):
        words += ["--bind", folder, folder]
    words += _own_folder(os.path.realpath(inside.own), inside.disk)
    return (*words, "--remount-ro", "/dev", "--remount-ro", "/", "--")


def _program() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise AuditError(
            "Expected bubblewrap for isolation: bubblewrap, got no command bwrap. Install the "
            "system's package bubblewrap, or leave isolation out."
        )
    return os.path.abspath(found)


def _refused(told: str) -> AuditError:
    said = shortened(told.rstrip("."), _LONGEST)
    return AuditError(
        f"Expected bubblewrap to start a process, got: {said}. Allow it user namespaces and a "
        "mount of /proc, install bubblewrap 0.7 or newer, or leave isolation out."
    )


def _namespaces() -> list[str]:
    # Without --die-with-parent: bwrap takes the thread that started it for the parent, and that
    # thread may end before the audit does. The lifeline (`confinement.lifeline`) ends the model's
    # process when the audit ends, and all processes of its namespace end with it.
    words = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--new-session"]
    if os.geteuid() == 0:  # without a user namespace, so that images of other users can be read
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_DAC_READ_SEARCH"]
    return [
        *words,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "0700", "--size", str(ROOM_FOR_LOCKS), "--tmpfs", SHARED_MEMORY),
    ]


def _own_folder(folder: str, size: int) -> list[str]:
    return ["--perms", "0700", "--size", str(size), "--tmpfs", folder]


def _program_of(python: Python) -> list[Allowed]:
    """The interpreter, and the folder of its environment."""
    folder = Path(python.executable).parent.parent
    names = ("pyvenv.cfg", "lib", "lib64")
    return [Allowed(python.executable), *(Allowed(str(folder / name)) for name in names)]


def _mounts(given: Iterable[Allowed]) -> Iterator[str]:
    """Binds that show files and folders read-only, and the symbolic links on the way to them."""
    links: dict[str, str] = {}
    shown: set[str] = set()
    for one in given:
        if _is_made_inside(one.path):
            continue
        place = _followed(one.path, links)
        if one.rights not in (LIST, WRITE) and os.path.exists(place):
            shown.add(place)
    outer = [place for place in shown if not _is_below(os.path.dirname(place), shown)]
    for place in sorted(outer):
        yield from ("--ro-bind", place, place)
    for link, target in sorted(links.items()):
        if not _is_below(link, outer):
            yield from ("--symlink", target, link)


def _is_made_inside(path: str) -> bool:
    """Whether bwrap makes it anew: all of /proc, and devices; not files, say in shared memory."""
    if _is_below(path, ("/proc",)):
        return True
    return _is_below(path, ("/dev",)) and not (os.path.isfile(path) or os.path.isdir(path))


def _followed(path: str, links: dict[str, str]) -> str:
    """The path without symbolic links, each of which is put into `links`."""
    place, rest = "/", [part for part in path.split("/") if part]
    left = _MOST_LINKS
    while rest:
        part = rest.pop(0)
        if part == "..":
            place = os.path.dirname(place)
            continue
        here = os.path.join(place, part)
        if part != "." and os.path.islink(here) and left:
            left -= 1
            target = links[here] = os.readlink(here)
            place = "/" if target.startswith("/") else place
            rest = [*(one for one in target.split("/") if one), *rest]
        elif part != ".":
            place = here
    return place


def _is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether the path is one of the folders, or in one of them."""
    known = set(folders)
    return any(str(folder) in known for folder in (Path(path), *Path(path).parents))
