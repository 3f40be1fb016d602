"""The files that Python and its libraries need: all others are none of a confined process's."""

import importlib.machinery
import os
import pwd
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path

from audits.execution.confinement.landlock import CHANGE, DEVICE, LIST, READ, Allowed

_SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share", "/lib", "/lib64"),
    *("/usr/local/lib", "/usr/local/lib64", "/usr/local/share", "/usr/local/nvidia"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types"),
    # Numbers of the machine by which libraries choose threads.
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/vm", "/proc/sys/kernel/osrelease"),
    *("/proc/sys/kernel/cap_last_cap", "/sys/devices", "/sys/bus/pci", "/sys/fs/cgroup"),
    "/sys/kernel/mm/transparent_hugepage",
)
# Not /dev/zero, by which a process gets memory that its limit does not count.
_DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")
_GPU_FILES = (
    *("/proc/driver/nvidia", "/proc/devices", "/proc/modules"),
    *("/sys/module/nvidia", "/sys/module/nvidia_uvm", "/etc/nvidia", "/usr/local/cuda"),
    *("/opt/nvidia", "/usr/lib/wsl"),
)
_OF_PREFIX = ("lib", "lib64", "share", "pyvenv.cfg")
_PACKAGES = ("site-packages", "dist-packages")
_METADATA = (".dist-info", ".egg-info")


def has_gpu() -> bool:
    """Whether this machine has devices of NVIDIA."""
    return bool(_gpus())


def of_system(*, gpu: bool) -> list[Allowed]:
    """The libraries of the system, numbers of the machine, devices without content; GPUs if so."""
    # CUDA and others name their threads there.
    found = [Allowed("/proc/self", CHANGE), *(Allowed(path) for path in _SYSTEM)]
    found += [Allowed(path, DEVICE) for path in _DEVICES]
    if gpu:
        found += [Allowed(path, DEVICE) for path in _gpus()]
        found += [Allowed(path) for path in _GPU_FILES]
    return found


def _gpus() -> list[str]:
    return glob("/dev/nvidia*")


def of_python(path: Iterable[str]) -> list[Allowed]:
    """The libraries of this Python, and the modules and packages in the folders of `path`.

    `path` is `sys.path`. A folder of somebody's sources may hold anything: of it, the modules and
    packages can be read, and the names of files can be listed, which Python does to find modules.
    The home itself is no such folder.
    """
    own_homes = homes()
    own = {
        *(os.path.join(prefix, part) for prefix in _prefixes() for part in _OF_PREFIX),
        *(folder for name, folder in sysconfig.get_paths().items() if "lib" in name),
    }
    found = [Allowed(one) for one in sorted(own) if os.path.realpath(one) not in own_homes]
    for entry in path:
        folder = os.path.realpath(entry)
        if os.path.isfile(folder) or os.path.basename(folder) in _PACKAGES:
            found.append(Allowed(folder))
        elif os.path.isdir(folder) and folder not in own_homes:
            found.append(Allowed(folder, LIST))
            found += [Allowed(str(one)) for one in _importable(Path(folder))]
    return found + [Allowed(one, READ) for one in sorted(_elsewhere())]


def _prefixes() -> set[str]:
    return {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}


def homes() -> set[str]:
    """The homes of this user, and the folders above: too much is in there to be read as a whole."""
    found = {"/home", "/root", os.path.realpath(os.path.expanduser("~"))}
    with suppress(KeyError):  # a user of a container may have no entry
        found.add(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    return {str(folder) for home in map(Path, found) for folder in (home, *home.parents)}


def _importable(folder: Path) -> Iterator[Path]:
    """Modules, packages, and the metadata of installed packages in a folder."""
    suffixes = tuple(importlib.machinery.all_suffixes())
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_file():
            wanted = entry.name.endswith((*suffixes, ".egg-link"))
        elif entry.name.endswith(_METADATA) or entry.name == "__pycache__":
            wanted = True
        else:
            wanted = entry.name.isidentifier() and _has_modules(Path(entry.path), suffixes)
        if wanted:
            yield Path(entry.path)


def _has_modules(folder: Path, suffixes: tuple[str, ...]) -> bool:
    try:
        return any(entry.name.endswith(suffixes) for entry in os.scandir(folder))
    except OSError:
        return False


def _elsewhere() -> set[str]:
    """The folders of packages that are found by a hook of setuptools, not by `sys.path`."""
    found: set[str] = set()
    for name, module in list(sys.modules.items()):
        if not name.startswith("__editable__"):
            continue
        for place in getattr(module, "MAPPING", {}).values():
            found |= {place, *(place + suffix for suffix in importlib.machinery.all_suffixes())}
        for places in getattr(module, "NAMESPACES", {}).values():
            found |= set(places)
    return {os.path.realpath(one) for one in found if os.path.exists(one)}
