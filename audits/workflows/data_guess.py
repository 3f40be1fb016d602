"""Guesses the kind of a data set, and its fields, from a path or a URI."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from audits.data.array_header import array_header
from audits.data.dataset_card import METADATA
from audits.data.listing import SPLITS, split_advice
from audits.data.places import is_here
from audits.errors import AuditError

_PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
_ENDINGS = {".csv": "csv", ".parquet": "csv", ".npz": "npz"}  # of URIs
_ARRAYS = (("x", "y"), ("images", "labels"), ("image", "label"), ("data", "labels"))
_HEADER = 1 << 16  # bytes of an array in which its header is
_LABELS = ("label", "class", "target", "category", "y")


def guessed(path: str) -> dict[str, Any]:
    """Plain values for `data` of a config; fields that have their default are left out.

    If `path` is a URI, its ending alone decides, and nothing is looked at. Raises AuditError if
    nothing is at `path`, if it is a folder of splits, and if the kind is not recognised.
    """
    if "://" in path or not is_here(path):
        return {"kind": _ENDINGS.get(Path(path).suffix.lower(), "folder"), "path": path}
    found = Path(path).expanduser()
    if found.is_dir():
        return _folder(path, found)
    if not found.is_file():
        raise AuditError(f"Expected a folder or a file at {found}, found none.")
    read = _FILES.get(found.suffix.lower())
    if read is None:
        raise AuditError(
            f"Expected a folder or a file that ends in {', '.join(_FILES)}, got {found.name}. "
            "Write data: of the config by hand, see `fillblanks schema`."
        )
    return read(path, found)


def _folder(path: str, folder: Path) -> dict[str, Any]:
    if _is_huggingface(folder):
        return {"kind": "huggingface", "path": path}
    inside = sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name[0] not in "._")
    if inside and all(name.lower() in SPLITS for name in inside):
        choices = ", ".join(f"--data {Path(path) / name}" for name in inside)
        raise AuditError(
            f"Expected one folder a class in {folder}, got {', '.join(inside)}, which look "
            f"like splits. {split_advice(inside)} Without a config, give one of {choices}."
        )
    if not inside:
        raise AuditError(
            f"Expected one folder a class in {folder}, found no folders. Sort the images into "
            "folders, or give a table of paths and labels (.csv)."
        )
    return {"kind": "folder", "path": path}


def _is_huggingface(folder: Path) -> bool:
    places = (folder, folder / "data")
    return any(
        (folder / name).is_file() for name in (*METADATA, "state.json", "dataset_dict.json")
    ) or any(True for place in places for _ in place.glob("*.parquet"))


def _npz(path: str, file: Path) -> dict[str, Any]:
    arrays = _told(file, "a NumPy archive without pickles", _headers)
    images = {n: shape for n, (shape, _) in arrays.items() if len(shape) in (3, 4)}
    counted = {n: dtype for n, (shape, dtype) in arrays.items() if len(shape) == 1}
    whole = [n for n, dtype in counted.items() if np.issubdtype(dtype, np.integer)]
    found = {
        (image, label)
        for image in images
        for label in whole
        if arrays[image][0][0] == arrays[label][0][0]
    }
    usual = next((pair for pair in _ARRAYS if pair in found), None)
    if usual is None and len(found) != 1:
        shapes = ", ".join(f"{name} {shape}" for name, (shape, _) in arrays.items())
        raise AuditError(
            f"Expected images (N, H, W) or (N, H, W, C) and whole-number labels (N,) in {file}, "
            f"one of each or called x and y, found {shapes}. Write data: of the config by hand, "
            "with images and labels."
        )
    image, label = usual or found.pop()
    names = next((n for n, dtype in counted.items() if np.issubdtype(dtype, np.str_)), None)
    guess = {"kind": "npz", "path": path}
    guess |= {"images": image} if image != "x" else {}
    guess |= {"labels": label} if label != "y" else {}
    return guess | ({"classes": names} if names else {})


def _headers(file: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shapes and dtypes of the arrays of an archive, which are not unpacked."""
    found = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as member:
                    start = io.BytesIO(member.read(_HEADER))
                found[name.removesuffix(".npy")] = array_header(start)
    return found


def _csv(path: str, file: Path) -> dict[str, Any]:
    columns = _told(file, "a UTF-8 table with a header", _header)
    return {"kind": "csv", "path": path, **_columns(columns, file)}


def _header(file: Path) -> list[str]:
    """As pandas reads it: without a byte order mark, and after blank lines."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return next((row for row in csv.reader(stream) if row), [])


def _parquet(path: str, file: Path) -> dict[str, Any]:
    columns = _told(file, "a table in Parquet", lambda file: parquet.read_schema(file).names)
    return {"kind": "table", "path": path, **_columns(columns, file)}


def _told(file: Path, wanted: str, read: Callable[[Path], Any]) -> Any:
    try:
        return read(file)
    except Exception as error:  # of zipfile, NumPy, csv or pyarrow, for a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AuditError(f"Expected {wanted} at {file}: {reason}") from error


def _columns(columns: list[str], file: Path) -> dict[str, str]:
    found = {}
    for key, names in (("path_column", _PATHS), ("label_column", _LABELS)):
        column = next((c for name in names for c in columns if c.lower() == name), None)
        if column is None:
            raise AuditError(
                f"Expected a column called {', '.join(names)} in {file}, found "
                f"{', '.join(columns)}. Write data: of the config by hand, with {key}."
            )
        if column != key.removesuffix("_column"):
            found[key] = column
    return found


_FILES: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".parquet": _parquet,
}
