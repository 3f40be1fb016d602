"""Npz: images and labels in one archive of NumPy."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.data.built import Bits, DataKind, of_arrays
from audits.data.imageset import MOST_CLASSES, ImageSet
from audits.data.places import file_at
from audits.errors import AuditError
from audits.strict import PlaceName

_GIB = 1 << 30


class Npz(DataKind):
    """A NumPy archive: images (N, H, W) or (N, H, W, C), labels (N,) and, if named, class names.

    `path` may also be a URI that fsspec or MLflow knows (`s3://...`, `runs:/<id>/test.npz`).
    `bits` is the depth of images of uint16.
    """

    kind: Literal["npz"] = "npz"
    path: PlaceName
    images: str = "x"
    labels: str = "y"
    classes: str | None = None
    bits: Bits | None = None

    def load(self) -> ImageSet:
        path = file_at(self.path)
        found = self._arrays(path)
        images, labels = found[self.images], found[self.labels]
        if images.ndim not in (3, 4):
            raise AuditError(
                f"Expected images of shape (N, H, W) or (N, H, W, C) in {path}, got {images.shape}."
            )
        whole = labels.dtype.kind in "iu"
        if labels.ndim != 1 or len(labels) != len(images) or not whole:
            raise AuditError(
                f"Expected {len(images)} whole-number labels in {path}, got shape {labels.shape} "
                f"of {labels.dtype}."
            )
        if self.classes:
            classes = [str(name) for name in np.atleast_1d(found[self.classes])]
        else:
            highest = int(labels.max()) if len(labels) else -1
            if highest >= MOST_CLASSES:
                raise AuditError(
                    f"Expected labels below {MOST_CLASSES:,} in {path}, got {highest:,}. Number "
                    "the classes from 0."
                )
            classes = [str(n) for n in range(highest + 1)]
        return of_arrays(path.name, images, labels, classes, self.bits)

    def _arrays(self, path: Path) -> dict[str, np.ndarray]:
        wanted = [self.images, self.labels] + ([self.classes] if self.classes else [])
        try:
            with np.load(path, allow_pickle=False) as archive:
                _expect_room(path, archive, wanted)
                found = {key: archive[key] for key in wanted if key in archive}
                names = ", ".join(archive)
        except AuditError:
            raise
        except MemoryError as error:
            raise AuditError(
                f"Expected arrays that fit into memory in {path}. Take fewer images."
            ) from error
        except Exception as error:  # NumPy and zipfile raise anything for a damaged file
            raise AuditError(
                f"Expected a NumPy archive without pickles at {path}, got {type(error).__name__}: "
                f"{error}"
            ) from error
        for key in wanted:
            if key not in found:
                raise AuditError(f"Expected an array {key!r} in {path}, found: {names}.")
            if not isinstance(found[key], np.ndarray):
                raise AuditError(f"Expected an array as {key!r} in {path}, got a file of bytes.")
        return found


def _expect_room(path: Path, archive: Any, keys: Sequence[str]) -> None:
    """Raises AuditError if arrays would take more than this machine's memory once inflated."""
    sizes = {member.filename: member.file_size for member in archive.zip.infolist()}
    size = sum(sizes.get(name, 0) for key in keys for name in (key, f"{key}.npy"))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise AuditError(
            f"Expected arrays that fit into memory ({memory / _GIB:.0f} GiB) in {path}, got "
            f"{size / _GIB:.0f} GiB once inflated. Take fewer images."
        )
