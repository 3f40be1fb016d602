"""A command `docker` for tests: podman or docker, with this Python mounted into an empty image."""

import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

IMAGE = "fillblanks-tests"
# Of the machine, which an image would have of its own.
_ROOT = Path(__file__).parents[2]
_ENGINES = (["podman"], ["podman", "--runtime", "runc"], ["docker"])


class NoEngine(Exception):
    """Neither podman nor docker starts a container here."""


def make_docker(folder: Path) -> Path:
    """A folder with a command `docker`, by which an image `IMAGE` has this Python. Raises NoEngine.

    The command is that of an engine of this machine; it adds mounts to `run`, and limits that some
    machines need.
    """
    refused = []
    for engine in _ENGINES:
        if (program := shutil.which(engine[0])) is None:
            continue
        words = [program, *engine[1:]]
        command = folder / "docker"
        command.write_text(_script(words))
        command.chmod(0o755)
        imported = subprocess.run(
            [*words, "import", "-", IMAGE], input=_empty_tree(), capture_output=True, check=False
        )
        tried = subprocess.run(
            [
                command,
                "run",
                "--rm",
                "--network",
                "none",
                "--entrypoint",
                "python3",
                IMAGE,
                "-c",
                "import numpy",
            ],
            capture_output=True,
            check=False,
        )
        if imported.returncode == tried.returncode == 0:
            return folder
        said = (tried.stderr or imported.stderr).decode().strip().splitlines()
        refused.append(f"{engine[0]}: {said[-1] if said else 'no reason'}")
    raise NoEngine("; ".join(refused) or "neither podman nor docker is installed")


def _script(engine: list[str]) -> str:
    prefixes = {sys.prefix, sys.base_prefix, "/usr", str(_ROOT)}
    folders = sorted(one for one in prefixes if not one.startswith("/usr/"))
    options = [word for folder in folders for word in ("-v", f"{folder}:{folder}:ro")]
    options += ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
    options += ["-e", f"PATH={sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"]
    options += ["-e", f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))}"]
    return f"""#!/bin/sh
if [ "$1" = run ]; then
    shift
    exec {shlex.join(engine)} run {shlex.join(options)} "$@"
fi
exec {shlex.join(engine)} "$@"
"""


def _empty_tree() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "var/tmp", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
    return content.getvalue()


def remove_image(folder: Path) -> None:
    subprocess.run([folder / "docker", "rmi", "--force", IMAGE], capture_output=True, check=False)


def containers(folder: Path) -> list[str]:
    """The names of all containers of ours, those that have ended too."""
    told = subprocess.run(
        [folder / "docker", "ps", "--all", "--format", "{{.Names}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in told.stdout.split() if name.startswith("fillblanks-")]
