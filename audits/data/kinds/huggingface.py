"""HuggingFace: a local folder in a layout of the `datasets` library.

The library itself is not needed: the layouts are tables that pandas and pyarrow read.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pyarrow import ipc, parquet

from audits.data.built import OfFiles, by_name, of_files
from audits.data.encoded import Encoded
from audits.data.imageset import ImageSet
from audits.data.places import folder_at
from audits.data.scan import named
from audits.errors import AuditError

_SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}.*")
_FILE_NAME = "file_name"
_METADATA = "metadata"


class HuggingFace(OfFiles):
    """A folder of the `datasets` library on this machine, at a URI or in MLflow.

    That is images with a table `metadata.csv`, `metadata.jsonl` or `metadata.parquet`, whose column
    `file_name` names them; Parquet files with a column of images; or what `save_to_disk` wrote.
    Nothing is downloaded from the hub.
    """

    kind: Literal["huggingface"] = "huggingface"
    path: str
    split: str | None = None
    image_column: str = "image"
    label_column: str = "label"

    def load(self) -> ImageSet:
        root = folder_at(self.path)
        if not root.is_dir():
            raise AuditError(f"Expected a folder at {root}, found none.")
        folder = root / self.split if self.split and (root / self.split).is_dir() else root
        table, images = self._rows(root, folder)
        values, names = _column(table, self.label_column, root).to_pylist(), None
        if None in values:
            raise AuditError(
                f"Expected a label for each image in {root}, row {values.index(None)} has none."
            )
        names = _class_names(table.schema, self.label_column)
        if names is not None:
            labels = [int(value) for value in values]
        else:
            labels, names = by_name([str(value) for value in values])
        name = f"{root.name}/{self.split}" if self.split else root.name
        return of_files(f"{name} (huggingface)", images, labels, names, self)

    def _rows(self, root: Path, folder: Path) -> tuple[pa.Table, list[Encoded]]:
        for suffix, read in _READERS.items():
            file = folder / f"{_METADATA}{suffix}"
            if file.is_file():
                table = _told(file, read)
                listed = _column(table, _FILE_NAME, file).to_pylist()
                return table, [Encoded(str(name), folder / str(name)) for name in listed]
        if (folder / "state.json").is_file():
            table = _saved(folder)
        else:
            files = self._parquet_files(root, folder)
            table = pa.concat_tables([_told(file, parquet.read_table) for file in files])
        column = _column(table, self.image_column, root).to_pylist()
        return table, [_encoded(i, value, folder) for i, value in enumerate(column)]

    def _parquet_files(self, root: Path, folder: Path) -> list[Path]:
        places = {folder, folder / "data"}
        files = sorted(file for place in places for file in place.glob("*.parquet"))
        splits = sorted({_split_of(file) for file in files})
        if folder == root and self.split is not None:
            files = [file for file in files if _split_of(file) == self.split]
        elif len(splits) > 1:
            raise AuditError(
                f"Expected one split in {folder}, found {named(splits)}. Set data.split."
            )
        if not files:
            inside = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
            found = named(splits if folder == root and splits else inside) or "none of these"
            raise AuditError(
                f"Expected metadata.csv, metadata.jsonl, Parquet files or a saved data set in "
                f"{folder}, found: {found}. Set data.path and data.split to a folder that has one."
            )
        return files


def _csv(file: Path) -> pa.Table:
    return pa.Table.from_pandas(pd.read_csv(file, dtype=str, keep_default_na=False))


def _json_lines(file: Path) -> pa.Table:
    lines = file.read_text(encoding="utf-8").splitlines()
    return pa.Table.from_pylist([json.loads(line) for line in lines if line.strip()])


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": parquet.read_table,
}


def _saved(folder: Path) -> pa.Table:
    state = _told(folder / "state.json", lambda file: json.loads(file.read_text(encoding="utf-8")))
    files = [folder / entry["filename"] for entry in state["_data_files"]]
    return pa.concat_tables([_told(file, _arrow) for file in files])


def _arrow(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as mapped:
        return ipc.open_stream(mapped).read_all()


def _told(file: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(file)
    except (pa.ArrowException, OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise AuditError(f"Expected a table of images at {file}: {reason}") from error


def _column(table: pa.Table, name: str, place: Path) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise AuditError(
            f"Expected a column {name!r} in {place}, found: {named(table.column_names)}."
        )
    return table.column(name)


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Names of a ClassLabel column, as the library writes them into the schema."""
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = written.get("info", {}).get("features", {}).get(column, {})
    names = feature.get("names") if isinstance(feature, dict) else None
    return [str(name) for name in names] if names else None


def _encoded(row: int, value: Any, folder: Path) -> Encoded:
    """An image of a table: a struct of bytes and path, bytes, or a path."""
    data, path = value, None
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
    elif isinstance(value, str):
        data, path = None, value
    if isinstance(data, bytes):
        return Encoded(f"row {row}" + (f" {path}" if path else ""), data=data)
    return Encoded(str(path or f"row {row}"), folder / path if path else None)


def _split_of(file: Path) -> str:
    """The split in the name of a Parquet file, as `train-00000-of-00002.parquet`."""
    shard = _SHARD.fullmatch(file.stem)
    return shard["split"] if shard else file.stem if not file.stem.isdecimal() else ""
