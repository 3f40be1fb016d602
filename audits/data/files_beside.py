"""FilesBeside: a folder with one file for each image, named like it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from audits.data.encoded import Encoded, Stamp
from audits.data.imageset import ImageSet
from audits.data.places import expect_ordinary
from audits.data.scan import named
from audits.errors import AuditError


class FilesBeside:
    """Files in `folder`, named like the images: `cats/7.png` or `7.png` for `.../cats/7.jpg`.

    Raises AuditError unless every image is a file and has one file of its own in the folder.
    """

    one: ClassVar[str]  # what a file holds, for messages: "mask"
    all: ClassVar[str]  # "regions"

    def __init__(self, folder: str, images: ImageSet):
        expect_files(images, self.all)
        self._images = images
        place = Path(folder).expanduser()
        expect_ordinary(place)
        if not place.is_dir():
            raise AuditError(f"Expected a folder of {self.one}s at {place}, found none.")
        found = _found(place, images.files)
        odd = [str(images.files[i]) for i, files in enumerate(found) if len(files) != 1]
        if odd:
            raise AuditError(
                f"Expected one {self.one} in {place} for each image, named like it, got none or "
                f"several for {len(odd)} of {len(images)}: {named(odd)}."
            )
        counts = Counter(files[0] for files in found)
        shared = [str(file) for file, count in counts.items() if count > 1]
        if shared:
            raise AuditError(
                f"Expected a {self.one} of its own for each image, got {len(shared)} in {place} "
                f"for several images: {named(shared)}. Put {self.one}s into folders, as the images "
                "are."
            )
        self._files = [Encoded(str(files[0]), files[0]) for files in found]

    def sha256(self, index: int) -> bytes:
        """sha256 of the file of an image."""
        file = self._files[index]
        stamp = file.stamp()
        known = stamp is not None and stamp.settled
        return _remembered(file, stamp) if known else _sha256(file)

    def name(self, index: int) -> str:
        """The path of the file of an image, for messages."""
        return self._files[index].name

    def digest(self, indices: Sequence[int] | np.ndarray) -> str:
        """sha256 of the files of these images."""
        digest = hashlib.sha256()
        for i in indices:
            digest.update(self.sha256(int(i)))
        return digest.hexdigest()


def expect_files(images: ImageSet, beside: str) -> None:
    """Raises AuditError unless every image is a file; `beside` is what is named like them."""
    if len(images.files) != len(images):
        raise AuditError(
            f"Expected images that are files of their own, which {beside} are named like, got "
            f"{images.name}. Take data of kind folder, csv or table, without a secret sample."
        )


def _found(place: Path, images: Sequence[Path]) -> list[list[Path]]:
    """The files in `place` that could be those of each image."""
    files: dict[tuple[str, ...], list[Path]] = {}
    for file in sorted(place.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            files.setdefault((file.parent.name, file.stem), []).append(file)
            if file.parent == place:
                files.setdefault((file.stem,), []).append(file)
    return [
        files.get((image.parent.name, image.stem)) or files.get((image.stem,), [])
        for image in images
    ]


def _sha256(file: Encoded) -> bytes:
    return hashlib.sha256(file.content()).digest()


@lru_cache(maxsize=1 << 17)
def _remembered(file: Encoded, stamp: Stamp) -> bytes:
    """The hash of a file, which is read again only if its stamp has changed."""
    return _sha256(file)
