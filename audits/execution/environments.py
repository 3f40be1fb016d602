"""Environments of Python made from the requirements of models, kept in the user's cache folder.

An environment has the auditor's packages below its own. pip does not install anew what satisfies a
requirement there; uv does not look there, and installs all that an audit needs. To build one runs
code of whoever wrote the requirements, so they must be trusted.
"""

import fcntl
import json
import logging
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from audits.errors import AuditError
from audits.execution.elsewhere import Python
from audits.execution.keys import key_of
from audits.execution.store import default_folder

Kind = Literal["uv", "virtualenv"]
log = logging.getLogger(__name__)
_FINISHED = "finished"  # a file that is written last
_EXTRA = re.compile(r"""\s*;\s*extra\s*==\s*["']audit["']\s*$""")
_OWN = re.compile(r"(mlflow|mlflow-skinny|fillblanks)(?![A-Za-z0-9._-])", re.IGNORECASE)


def wanted(lines: Sequence[str]) -> list[str]:
    """The requirements of models, without the packages of which the audit brings its own."""
    return sorted({line for line in lines if not _OWN.match(line)})


def built(kind: Kind, lines: Sequence[str]) -> Python:
    """The environment with the requirements `lines` and ours; built, unless it is in the cache.

    Raises AuditError with the beginning of the installer's error.
    """
    ours = _ours()
    key = key_of(kind=kind, lines=lines, ours=ours, python=sys.version, here=_installed())
    root = Path(default_folder()) / "environments"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / key[:32]
    with _locked(folder.with_suffix(".lock")):
        if not (folder / _FINISHED).exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted build
            log.info("Building an environment from the model's requirements in %s", folder)
            _build(kind, [*lines, *ours], folder)
            (folder / _FINISHED).touch()
    executable = folder / "bin" / "python"
    own = json.loads(_run([executable, "-c", _SHOW_PATH], folder.with_suffix(".log")))
    return Python(str(executable), (*own, *(entry for entry in sys.path if entry not in own)))


_SHOW_PATH = "import json, sys; print(json.dumps([entry for entry in sys.path if entry]))"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Waits until no other process builds the same environment; the kernel ends a lost lock."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def expect_installer(kind: Kind) -> None:
    """Raises AuditError if this machine has not the tool that makes environments of that kind."""
    if kind == "uv":
        _uv()


def _uv() -> str:
    # The folder of an environment that is not activated is not on PATH.
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        raise AuditError(
            "Expected the command uv for environment: uv, found none. Run pip install uv, or "
            "set environment: virtualenv."
        )
    return uv


def _build(kind: Kind, lines: Sequence[str], folder: Path) -> None:
    record = folder.with_suffix(".log")
    python = folder / "bin" / "python"
    if kind == "uv":
        uv = _uv()
        _run([uv, "venv", "--python", sys.executable, folder], record)
        install: list[str | Path] = [uv, "pip", "install", "--python", python]
    else:
        bare = ["--without-pip"] if find_spec("pip") else []
        _run([sys.executable, "-m", "venv", *bare, folder], record)
        install = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    (packages,) = folder.glob("lib/python*/site-packages")
    below = "".join(f"import site; site.addsitedir({entry!r})\n" for entry in _package_folders())
    (packages / "zz_auditor.pth").write_text(below)
    listed = folder / "requirements.txt"
    listed.write_text("\n".join(lines) + "\n")
    _run([*install, "-r", listed], record)


def _run(command: Sequence[str | Path], record: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        record.write_text(f"{done.stdout}\n{done.stderr}")
        lines = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        first = next((i for i, line in enumerate(lines) if line.lower().startswith("error")), -1)
        reason = " ".join(" ".join(lines[first:]).split())  # uv tells the cause below the error
        raise AuditError(
            f"Expected an environment of the model's requirements and ours, but: "
            f"{reason[:120].rstrip('.')}. Look at {record}, or leave environment out."
        )
    return done.stdout


def _ours() -> list[str]:
    """The requirements of an audit."""
    try:
        found = requires("fillblanks") or []
    except PackageNotFoundError:  # the packages are run from a folder
        return []
    named = [line for line in found if "extra ==" not in line]
    return named + [_EXTRA.sub("", line) for line in found if _EXTRA.search(line)]


def _installed() -> list[str]:
    return sorted({f"{found.name}=={found.version}" for found in distributions()})


def _package_folders() -> list[str]:
    """The folders of the auditor's packages; those in a user's home too, if Python looks there."""
    known = [*site.getsitepackages(), site.getusersitepackages()]
    return [entry for entry in sys.path if entry in map(os.path.abspath, known)]
