"""The kinds of data set that a config can name, and a reader for each kind.

A new kind is a config class and a reader in this file, and a member of `AnyData`.
"""

import zipfile
import zlib
from functools import singledispatch
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import Field, PositiveInt

from audits.data.imageset import ImageSet
from audits.errors import AuditError
from audits.strict import Strict

_TEST_IMAGES = 450


class Digits(Strict):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8, in a fixed train / test split."""

    kind: Literal["digits"] = "digits"
    split: Literal["train", "test"] = "test"
    size: PositiveInt = 28


class Torchvision(Strict):
    """A data set of torchvision under `root`, downloaded only with `download: true`."""

    kind: Literal["torchvision"] = "torchvision"
    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10"]
    root: str
    split: Literal["train", "test"] = "test"
    download: bool = False


class Folder(Strict):
    """A folder with one sub-folder of image files for each class, read by torchvision."""

    kind: Literal["folder"] = "folder"
    path: str


class Npz(Strict):
    """A NumPy archive: images (N, H, W) or (N, H, W, C), labels (N,) and, if named, class names."""

    kind: Literal["npz"] = "npz"
    path: str
    images: str = "x"
    labels: str = "y"
    classes: str | None = None


class Csv(Strict):
    """A table with a column of image paths (relative to the file) and one of class names."""

    kind: Literal["csv"] = "csv"
    path: str
    path_column: str = "path"
    label_column: str = "label"


AnyData = Annotated[Digits | Torchvision | Folder | Npz | Csv, Field(discriminator="kind")]


@singledispatch
def load(config: Any) -> ImageSet:
    """Reads the data set that a config describes. Raises AuditError if the two do not agree."""
    raise TypeError(f"No reader for {type(config).__name__}.")


@load.register
def _digits(config: Digits) -> ImageSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    split = train_test_split(
        np.arange(len(digits.target)),
        test_size=_TEST_IMAGES,
        random_state=0,
        stratify=digits.target,
    )
    chosen = split[1 if config.split == "test" else 0]
    pixels = (digits.images[chosen] * (255 / 16)).round().astype(np.uint8)
    images = np.stack(
        [
            np.asarray(
                Image.fromarray(p).resize((config.size, config.size), Image.Resampling.BICUBIC)
            )
            for p in pixels
        ]
    )
    name = f"scikit-learn digits ({config.split})"
    return _from_arrays(name, images, digits.target[chosen], [str(n) for n in range(10)])


@load.register
def _torchvision(config: Torchvision) -> ImageSet:
    from torchvision import datasets

    root = Path(config.root).expanduser()
    try:
        found = getattr(datasets, config.dataset)(
            str(root), train=config.split == "train", download=config.download
        )
    except RuntimeError as error:
        raise AuditError(
            f"Expected {config.dataset} under {root}, found none ({error}). Set download: true to "
            "fetch it, or correct root."
        ) from error
    # torchvision calls MNIST's classes "0 - zero" and so on; models call them "0".
    numbers = [str(n) for n in range(10)]
    classes = numbers if config.dataset == "MNIST" else found.classes
    return _from_arrays(
        f"{config.dataset} ({config.split})", np.asarray(found.data), found.targets, classes
    )


@load.register
def _folder(config: Folder) -> ImageSet:
    from torchvision.datasets import ImageFolder

    path = Path(config.path).expanduser()
    if not path.is_dir():
        raise AuditError(f"Expected a folder at {path}, found none.")
    try:
        found = ImageFolder(str(path))
    except FileNotFoundError as error:
        raise AuditError(
            f"Expected one folder a class with images under {path}: {error}"
        ) from error
    files = [Path(file) for file, _ in found.samples]
    return _from_files(f"{path.name} (folder)", files, [n for _, n in found.samples], found.classes)


@load.register
def _npz(config: Npz) -> ImageSet:
    path = _existing(config.path)
    wanted = [config.images, config.labels] + ([config.classes] if config.classes else [])
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {key: archive[key] for key in wanted if key in archive}
            names = ", ".join(archive)
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AuditError(f"Expected a NumPy archive without pickles at {path}: {error}") from error
    for key in wanted:
        if key not in found:
            raise AuditError(f"Expected an array {key!r} in {path}, found: {names}.")
    images, labels = found[config.images], found[config.labels]
    if images.ndim not in (3, 4):
        raise AuditError(
            f"Expected images of shape (N, H, W) or (N, H, W, C) in {path}, got {images.shape}."
        )
    if (
        labels.ndim != 1
        or len(labels) != len(images)
        or not np.issubdtype(labels.dtype, np.integer)
    ):
        raise AuditError(
            f"Expected {len(images)} whole-number labels in {path}, got shape {labels.shape} of "
            f"{labels.dtype}."
        )
    if config.classes:
        classes = [str(name) for name in np.atleast_1d(found[config.classes])]
    else:
        classes = [str(n) for n in range(int(labels.max()) + 1 if len(labels) else 0)]
    return _from_arrays(path.name, images, labels, classes)


@load.register
def _csv(config: Csv) -> ImageSet:
    path = _existing(config.path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected a UTF-8 table with a header at {path}: {error}") from error
    for column in (config.path_column, config.label_column):
        if column not in table:
            raise AuditError(
                f"Expected a column {column!r} in {path}, found: {', '.join(table.columns)}."
            )
    files = [path.parent / file for file in table[config.path_column]]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise AuditError(f"Expected the images that {path} names, {missing} is not there.")
    classes = sorted(set(table[config.label_column]))
    labels = [classes.index(name) for name in table[config.label_column]]
    return _from_files(path.name, files, labels, classes)


def _existing(path: str) -> Path:
    found = Path(path).expanduser()
    if not found.is_file():
        raise AuditError(f"Expected a file at {found}, found none.")
    return found


def _from_arrays(name: str, images: Any, labels: Any, classes: Any) -> ImageSet:
    images = np.asarray(images)
    return ImageSet(
        name=name,
        classes=tuple(classes),
        labels=np.asarray(labels, dtype=np.int64),
        read=lambda i: images[i],
        content=lambda i: repr((images.dtype.str, images[i].shape)).encode() + images[i].tobytes(),
    )


def _from_files(name: str, files: list[Path], labels: list[int], classes: list[str]) -> ImageSet:
    return ImageSet(
        name=name,
        classes=tuple(classes),
        labels=np.asarray(labels, dtype=np.int64),
        read=lambda i: _read_image(files[i]),
        content=lambda i: files[i].read_bytes(),
    )


def _read_image(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            if image.mode == "I;16":
                return np.asarray(image)
            if image.mode in ("I", "F"):
                raise AuditError(
                    f"Expected an image of 8 or 16 bits a channel at {file}, got 32. Convert it."
                )
            grey = image.mode in ("1", "L")
            return np.asarray(image.convert("L" if grey else "RGB"))
    except OSError as error:
        raise AuditError(f"Expected an image that can be read at {file}: {error}") from error
