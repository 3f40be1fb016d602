"""The store of finished units: one atomic .npz file a part, named by the hash of its inputs."""

import hashlib
import io
import logging
import os
import re
import stat
import tempfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from audits.data.own_folders import expect_own
from audits.errors import AuditError, quoted
from audits.evidence.codec import Part

log = logging.getLogger(__name__)

# What numpy and zipfile raise for bytes that are no archive, or not the one that was written.
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, TypeError, EOFError, NotImplementedError)
_OWN_NAME = re.compile(r"(plan-)?[0-9a-f]{64}\.npz(\.[0-9a-f]{32}\.tmp)?")
_OF_OTHERS = 0o077  # rights of other users
_SHA256 = 32  # bytes of checksum behind the archive, which readers of zip files pass over
_BLOCK = 4096  # bytes that a disk with any room takes
_PREFIX = "part."  # savez has parameters of its own, whose names an array may have


@dataclass(frozen=True)
class Amount:
    """How much is stored."""

    files: int = 0
    bytes: int = 0

    def plus(self, size: int) -> "Amount":
        return Amount(self.files + 1, self.bytes + size)

    def __str__(self) -> str:
        return f"{self.files} parts ({self.bytes / 1e6:.1f} MB)"


def default_folder() -> str:
    """`fillblanks` in the user's cache folder (XDG_CACHE_HOME, else ~/.cache)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(cache) / "fillblanks")


class Store:
    """Parts in `parts/` under a folder, which may be any fsspec path so that machines can share it.

    On a local disk only the user can read them: whoever could write them could write verdicts.
    Files are written under another name and moved, and read without pickle.

    Raises AuditError if the folder cannot be had or is somebody else's.
    """

    def __init__(self, folder: str | None = None):
        self.folder = folder or default_folder()
        with self._told():
            self._files, root = fsspec.core.url_to_fs(self.folder)
            self._root = f"{root.rstrip('/')}/parts"
            if self._local:
                expect_own("a store", Path(root), Path(self._root), "Name another folder as store.")
            self._files.makedirs(self._root, exist_ok=True)
            if self._local and os.stat(self._root).st_mode & _OF_OTHERS:
                self._expect_parts()
                os.chmod(self._root, 0o700)

    def _expect_parts(self) -> None:
        names = os.listdir(self._root)
        if names and not any(map(_OWN_NAME.fullmatch, names)):
            raise AuditError(
                f"Expected a folder of parts, which no other user may read, at {self._root}, got "
                f"{quoted(names[0])} and no part in it. Name another folder as store."
            )

    def expect_writable(self) -> None:
        """Raises AuditError if nothing can be written, or a store elsewhere does not answer."""
        with self._told():
            if self._local:
                with tempfile.TemporaryFile(dir=self._root) as file:
                    file.write(bytes(_BLOCK))
            else:
                self._files.exists(self._root)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns errors of files and file systems into an AuditError that names the store."""
        try:
            yield
        except AuditError:
            raise
        except Exception as error:  # of a file system of another package: no credentials, say
            said = str(error) or type(error).__name__
            raise AuditError(
                f"Expected a store that can be written at {self.folder}, got: {said}. Mend that, "
                "or name another folder as store."
            ) from error

    @property
    def _local(self) -> bool:
        return bool({"file", "local"} & set(_protocols(self._files)))

    @property
    def local_folder(self) -> str | None:
        """The folder of the parts; None if it is not on a local disk."""
        return self._root if self._local else None

    def has(self, key: str) -> bool:
        """Whether a part is there and whole."""
        return self.get(key) is not None

    def place(self, key: str) -> str:
        """The file that has the part under this key, whole or damaged; "" if there is none."""
        with self._told():
            return self._path(key) if self._files.exists(self._path(key)) else ""

    def get(self, key: str) -> Part | None:
        """The part, or None if there is none or its file is damaged."""
        try:
            data = self._read(self._path(key))
            if _sha256(data[:-_SHA256]) != data[-_SHA256:]:
                raise ValueError("its checksum is another")
            if self._local:  # said here, since many disks do not note what is read
                self._note_use(self._path(key))
            with np.load(io.BytesIO(data[:-_SHA256]), allow_pickle=False) as archive:
                return {name.removeprefix(_PREFIX): archive[name] for name in archive}
        except FileNotFoundError:
            return None
        except _DAMAGE:
            log.warning("%s is damaged and will be measured again", self._path(key))
            return None

    def _read(self, path: str) -> bytes:
        """The bytes of a file; on a local disk of one that this user has written."""
        if not self._local:
            with self._files.open(path, "rb") as far:
                found: bytes = far.read()
            return found
        # A pipe would wait for a writer; a link leads to what somebody else may change.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        told = os.fstat(opened)
        if os.path.islink(path) or not stat.S_ISREG(told.st_mode) or told.st_uid != os.geteuid():
            os.close(opened)
            raise ValueError("it is no file of one's own")
        with open(opened, "rb") as file:
            return file.read()

    def prune(self, seconds: float, dry_run: bool = False) -> tuple[Amount, Amount]:
        """Deletes what was not written or read for so long; returns what was deleted and is kept.

        Raises AuditError for a store that is not on a local disk.
        """
        if not self._local:
            raise AuditError(
                f"Expected a store on a local disk, got {self.folder}. Give the bucket a rule for "
                "old objects under parts/."
            )
        old, kept = Amount(), Amount()
        for file in Path(self._root).iterdir():
            if not _OWN_NAME.fullmatch(file.name):
                continue
            try:
                found = file.stat()
            except FileNotFoundError:  # moved or deleted meanwhile
                continue
            if time.time() - max(found.st_mtime, found.st_atime) < seconds:
                kept = kept.plus(found.st_size)
                continue
            old = old.plus(found.st_size)
            if not dry_run:
                file.unlink(missing_ok=True)
        return old, kept

    def _note_use(self, path: str) -> None:
        with suppress(PermissionError, FileNotFoundError):  # another's store, or pruned meanwhile
            os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))

    def put(self, key: str, part: Part) -> None:
        """Writes a part; it is there whole or not at all. Raises AuditError if it cannot be."""
        for name, array in part.items():
            if array.dtype.hasobject:
                raise TypeError(f"Expected plain arrays in a part, got objects in {name!r}.")
        buffer = io.BytesIO()
        prefixed: Any = {_PREFIX + name: array for name, array in part.items()}
        np.savez_compressed(buffer, allow_pickle=False, **prefixed)
        temporary = f"{self._path(key)}.{uuid.uuid4().hex}.tmp"
        with self._told():
            if self._local:
                self._put_here(temporary, key, buffer.getvalue())
            else:
                self._write(temporary, buffer.getvalue())
                self._files.mv(temporary, self._path(key))

    def _put_here(self, temporary: str, key: str, data: bytes) -> None:
        try:
            self._write(temporary, data)
            os.replace(temporary, self._path(key))
        except OSError:  # the disk is full, say
            Path(temporary).unlink(missing_ok=True)
            raise

    def _write(self, path: str, data: bytes) -> None:
        with self._files.open(path, "wb") as file:
            file.write(data + _sha256(data))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}.npz"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _protocols(files: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
