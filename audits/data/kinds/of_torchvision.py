"""Torchvision: data sets in the files and folders in which torchvision keeps them.

torchvision itself would unpickle some of these files in the auditing process, so they are read here
and nothing but numbers, texts and arrays of bytes is taken from them.
"""

import hashlib
import io
import pickle
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.data.built import DataKind, of_arrays
from audits.data.encoded import Encoded
from audits.data.imageset import ImageSet
from audits.data.places import expect_ordinary
from audits.errors import AuditError
from audits.strict import PlaceName

_BYTES = 8  # the type of the values of an idx file, by its format


class Torchvision(DataKind):
    """A data set of torchvision under `root`, downloaded only with `download: true`."""

    kind: Literal["torchvision"] = "torchvision"
    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10"]
    root: PlaceName
    split: Literal["train", "test"] = "test"
    download: bool = False

    def load(self) -> ImageSet:
        from torchvision import datasets

        root = Path(self.root).expanduser()
        expect_ordinary(root)
        known = getattr(datasets, self.dataset)
        if self.download:
            self._fetch(known, root)
        read = _cifar if self.dataset == "CIFAR10" else _mnist
        images, labels, classes = read(known, root, self.split)
        name = f"{self.dataset} ({self.split})"
        if len(images) != len(labels):
            raise AuditError(
                f"Expected a label for each image of {name} under {root}, got {len(labels)} for "
                f"{len(images)} images. Fetch the files again."
            )
        return of_arrays(name, images, labels, classes)

    def _fetch(self, known: Any, root: Path) -> None:
        """Downloads what is missing. The set is not opened: torchvision would unpickle files."""
        missing = known.__new__(known)
        missing.root = str(root)
        try:
            missing.download()
        except (RuntimeError, OSError) as error:
            raise AuditError(f"Expected to fetch {self.dataset} into {root}: {error}") from error


def _mnist(known: Any, root: Path, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    folder = root / known.__name__ / "raw"
    start = "train" if split == "train" else "t10k"
    images = _idx(folder / f"{start}-images-idx3-ubyte", 3)
    labels = _idx(folder / f"{start}-labels-idx1-ubyte", 1)
    # torchvision calls MNIST's classes "0 - zero" and so on; models call them "0".
    numbers = [str(n) for n in range(10)]
    return images, labels, numbers if known.__name__ == "MNIST" else list(known.classes)


def _idx(file: Path, dimensions: int) -> np.ndarray:
    """The bytes of an idx file (https://yann.lecun.com/exdb/mnist)."""
    content = _content(file)
    start = 4 + 4 * dimensions
    head = content[:start].ljust(start, b"\0")
    shape = np.frombuffer(head[4:], ">u4").tolist()
    fits = 0 not in shape and len(content) == start + prod(shape)
    if not fits or head[:4] != bytes([0, 0, _BYTES, dimensions]):
        raise AuditError(
            f"Expected an idx file of bytes in {dimensions} dimension(s) at {file}, got another or "
            "one that is damaged. Fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _cifar(known: Any, root: Path, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    folder = root / known.base_folder
    meta = _unpickled(folder / known.meta["filename"], known.meta["md5"])
    listed = known.train_list if split == "train" else known.test_list
    batches = [_unpickled(folder / name, md5) for name, md5 in listed]
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch["labels"] for batch in batches])
    return images.transpose(0, 2, 3, 1), labels, meta["label_names"]


def _unpickled(file: Path, md5: str) -> Any:
    """The values in a file of CIFAR-10, which is a pickle: those bytes alone, and no other type."""
    content = _content(file)
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise AuditError(f"Expected the file of CIFAR-10 at {file}, got another. Fetch it again.")
    return _Arrays(io.BytesIO(content), encoding="latin1").load()


class _Arrays(pickle.Unpickler):
    """Reads arrays of numpy, and the plain values of Python."""

    def find_class(self, module: str, name: str) -> Any:
        if module.endswith(".multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # numpy has moved it
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise AuditError(f"Expected arrays of numpy in CIFAR-10, got {module}.{name}.")


def _content(file: Path) -> bytes:
    expect_ordinary(file)
    if not file.is_file():
        raise AuditError(
            f"Expected a file at {file}, found none. Set download: true to fetch it, or correct "
            "root."
        )
    return Encoded(file.name, file).content()
