"""Guesses the kind of a data set, and its fields, from a path or a URI."""

import csv
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from audits.data.listing import SPLITS, split_advice
from audits.data.places import is_here
from audits.errors import AuditError

_PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
_ENDINGS = {".csv": "csv", ".parquet": "csv", ".npz": "npz"}  # of URIs
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
    tables = (*(folder / f"metadata.{kind}" for kind in ("csv", "jsonl", "parquet")),)
    places = (folder, folder / "data")
    return (
        any(table.is_file() for table in tables)
        or any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
        or any(True for place in places for _ in place.glob("*.parquet"))
    )


def _npz(path: str, file: Path) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AuditError(f"Expected a NumPy archive without pickles at {file}: {error}") from error
    images = next((n for n, a in arrays.items() if a.ndim in (3, 4)), None)
    counted = {n: a for n, a in arrays.items() if a.ndim == 1}
    labels = next((n for n, a in counted.items() if np.issubdtype(a.dtype, np.integer)), None)
    if images is None or labels is None:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise AuditError(
            f"Expected images (N, H, W) or (N, H, W, C) and whole-number labels (N,) in {file}, "
            f"found {shapes}."
        )
    names = next((n for n, a in counted.items() if np.issubdtype(a.dtype, np.str_)), None)
    found = {"kind": "npz", "path": path}
    found |= {"images": images} if images != "x" else {}
    found |= {"labels": labels} if labels != "y" else {}
    return found | ({"classes": names} if names else {})


def _csv(path: str, file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            columns = next(csv.reader(stream), [])
    except UnicodeDecodeError as error:
        raise AuditError(f"Expected a UTF-8 table with a header at {file}: {error}") from error
    return {"kind": "csv", "path": path, **_columns(columns, file)}


def _parquet(path: str, file: Path) -> dict[str, Any]:
    try:
        columns = parquet.read_schema(file).names
    except (ValueError, OSError) as error:
        raise AuditError(f"Expected a table in Parquet at {file}: {error}") from error
    return {"kind": "table", "path": path, **_columns(columns, file)}


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
