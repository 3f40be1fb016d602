"""HuggingFace: a local folder in a layout of the `datasets` library, which reads it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from audits.data import datasets_library as library
from audits.data.built import OfFiles, by_name, of_files
from audits.data.dataset_card import METADATA
from audits.data.datasets_library import Columns, Listed, Wanted
from audits.data.encoded import Encoded
from audits.data.imageset import ImageSet
from audits.data.listing import SPLITS, split_advice
from audits.data.places import folder_at
from audits.data.scan import named
from audits.data.table_columns import TableColumns
from audits.errors import AuditError, few, quoted
from audits.strict import PlaceName

_SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}.*")
_PARQUET = ".parquet"
_SAVED = ("state.json", "dataset_dict.json")


class HuggingFace(OfFiles):
    """A folder of the `datasets` library on this machine, at a URI or in MLflow.

    That is images with a table `metadata.csv`, `metadata.jsonl` or `metadata.parquet`, whose column
    `file_name` names them; images in folders of classes; Parquet files with a column of images; or
    a folder that `save_to_disk` wrote. Nothing is downloaded from the hub.
    """

    kind: Literal["huggingface"] = "huggingface"
    path: PlaceName
    split: PlaceName | None = None
    image_column: str = "image"
    label_column: str = "label"

    def load(self) -> ImageSet:
        given = folder_at(self.path)
        if not given.is_dir():
            raise AuditError(f"Expected a folder at {given}, found none.")
        root = Path(os.path.abspath(given))
        inside = root / self.split if self.split else root
        folder = inside if inside.is_dir() else root
        found, notes = self._read(root, folder)
        if not _has(folder, _SAVED) and (card := library.card(root)):  # whose reader has no card
            card.expect_files(self.split, found.files)
            found = _named_by(found, card.classes(self.label_column))
        labels, names = _labels(found, folder)
        images = [_encoded(row, value, folder) for row, value in enumerate(found.images)]
        name = f"{root.name}/{self.split}" if self.split else root.name
        columns = TableColumns(found.all_names, lambda column: self._values(root, folder, column))
        return of_files(f"{name} (huggingface)", images, labels, names, self, notes, columns)

    def _values(self, root: Path, folder: Path, column: str) -> list[object]:
        """The values of a column, in the order of the images; class names instead of their indices.

        The table is read once more, without the bytes of its images.
        """
        found, _ = self._read(root, folder, column)
        names = found.names
        if names is None:
            return found.labels
        return [names[v] if v is not None and 0 <= v < len(names) else None for v in found.labels]

    def _read(
        self, root: Path, folder: Path, column: str | None = None
    ) -> tuple[Columns, list[str]]:
        """The data set in `folder`, which is `root` or the folder of the split in it.

        With `column`, that column is read in place of the labels.
        """
        wanted = Wanted(self.image_column, column or self.label_column)
        alone = wanted if column is None else Wanted(column, column)
        split = self.split if folder == root else None
        if _has(folder, _SAVED):
            splits = library.saved_splits(folder)
            chosen = _chosen(splits, split, folder) if splits or split else None
            return library.of_saved(folder, chosen, alone), []
        if not _has(folder, METADATA):
            files = _parquet_files(folder)
            if files:
                chosen = _chosen(sorted({_split_of(file) for file in files}), split, folder)
                parts = [
                    library.of_parquet(file, alone) for file in files if _split_of(file) == chosen
                ]
                return _joined(parts, folder), []
        return _of_files(root, folder, split, wanted)


def _of_files(
    root: Path, folder: Path, split: str | None, wanted: Wanted
) -> tuple[Columns, list[str]]:
    """Image files in `folder`, which are labelled by a table there or in `root`, or by folders."""
    files = library.listed(folder)
    if not files.images and not files.metadata:
        inside = named(_folders(root)) or "none of these"
        raise AuditError(
            "Expected metadata.csv, metadata.jsonl, Parquet files, a saved data set or images in "
            f"folders of classes in {folder}, found: {inside}. Set data.path and data.split to a "
            "folder that has one."
        )
    if split is not None:  # and no folder is called so
        _chosen(_folders(folder), split, folder)
    if folder != root and not files.metadata and _has(root, METADATA):
        found = library.of_image_files(root, library.listed(root), wanted)
        rows = [i for i, image in enumerate(found.images) if _is_below(image, folder)]
        images, labels = ([column[i] for i in rows] for column in (found.images, found.labels))
        tables = [file for file in found.files if file.name in METADATA]
        own = (*files.images, *tables)
        notes = _without_row(files, images, folder)
        return Columns(images, labels, found.names, found.all_names, own), notes
    _expect_one_split(files, folder)
    found = library.of_image_files(folder, files, wanted)
    notes = _without_row(files, found.images, folder) if files.metadata else []
    if files.others:
        left = named([str(file.relative_to(folder)) for file in files.others])
        notes.append(f"{len(files.others)} files of other kinds are left out: {left}.")
    return found, notes


def _without_row(files: library.Listed, images: Sequence[Any], folder: Path) -> list[str]:
    """A note about the image files that no row of the table names, if there are some."""
    in_rows = {Path(image["path"]) for image in images if image is not None and image["path"]}
    left = [str(file.relative_to(folder)) for file in files.images if file not in in_rows]
    if not left:
        return []
    total = len(files.images)
    return [f"{len(left)} of {total} image files are in no row and left out: {named(left)}."]


def _has(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _is_below(image: Any, folder: Path) -> bool:
    path = image["path"] if image is not None else None
    return path is not None and Path(path).is_relative_to(folder)


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(file for place in (folder, folder / "data") for file in place.glob("*.parquet"))


def _split_of(file: Path) -> str:
    """The split in the name of a Parquet file, as `train-00000-of-00002.parquet`."""
    shard = _SHARD.fullmatch(file.stem)
    return shard["split"] if shard else file.stem if not file.stem.isdecimal() else ""


def _chosen(splits: Sequence[str], wanted: str | None, folder: Path) -> str:
    """The split that is wanted, or the only one. Raises AuditError if there is no such split."""
    if wanted is None and len(splits) == 1:
        return splits[0]
    if wanted is None:
        raise AuditError(
            f"Expected one split in {folder}, found {named(splits)}. {split_advice(splits)}"
        )
    if wanted not in splits:
        told = named([split for split in splits if split]) or "no split"
        raise AuditError(f"Expected the split {quoted(wanted)} in {folder}, found: {told}.")
    return wanted


def _expect_one_split(files: Listed, folder: Path) -> None:
    """Raises AuditError if folders of several splits, as train and test, would be one data set."""
    places = {file.relative_to(folder).parent.parts for file in (*files.images, *files.metadata)}
    last = {place[-1].lower() for place in places if place}
    end = None if files.metadata or last <= SPLITS else -1  # else the last part is a class
    found = {part for place in places for part in place[:end] if part.lower() in SPLITS}
    if len(found) > 1:
        beside = found <= set(_folders(folder))
        advice = split_advice(sorted(found))
        more = advice if beside else f"Set data.path to the folder that has them. {advice}"
        raise AuditError(f"Expected one split in {folder}, found {named(sorted(found))}. {more}")


def _joined(parts: Sequence[Columns], folder: Path) -> Columns:
    names = parts[0].names
    for part in parts:
        if part.names != names:
            raise AuditError(
                f"Expected the same class names in each Parquet file of {folder}, got "
                f"{quoted(names)} and {quoted(part.names)}."
            )
    images = [image for part in parts for image in part.images]
    labels = [label for part in parts for label in part.labels]
    read = tuple(file for part in parts for file in part.files)
    return Columns(images, labels, names, parts[0].all_names, read)


def _named_by(found: Columns, told: tuple[str, ...] | None) -> Columns:
    """The columns with the class names of the card, None if it has none, for their labels.

    The library gives folders of classes their own names, whatever the card says. Raises AuditError
    if a table has other names, or a label that is neither a name nor an index.
    """
    by_folders = not any(f.name in METADATA or f.suffix == _PARQUET for f in found.files)
    if told is None or by_folders or found.names == list(told):
        return found
    if found.names is not None:
        raise AuditError(
            f"Expected the class names of the data set's card ({few(told)}), got "
            f"{few(found.names)} from the data. Correct one of them."
        )
    written = any(file.name in METADATA for file in found.files)  # whose numbers are read as text
    labels = []
    for row, value in enumerate(found.labels):
        label = _index_of(value, told, written)
        if value is not None and label is None:
            raise AuditError(
                f"Expected labels that are class names of the data set's card ({few(told)}) or "
                f"their indices, and not both, got {quoted(str(value))} in row {row}. Correct the "
                "card."
            )
        labels.append(label)
    return found._replace(labels=labels, names=list(told))


def _index_of(value: Any, names: tuple[str, ...], written: bool) -> int | None:
    """The index of a label; None if it is neither a name nor an index, or may be two of them."""
    if isinstance(value, str):
        by_name = names.index(value) if value in names else None
        number = int(value) if value.isdecimal() and int(value) < len(names) else None
        if by_name is None or (written and number not in (None, by_name)):
            return number if by_name is None else None
        return by_name
    whole = isinstance(value, int | float) and value == int(value) and 0 <= value < len(names)
    return int(value) if whole else None


def _labels(found: Columns, folder: Path) -> tuple[list[int], list[str]]:
    """Label indices and class names. Raises AuditError if an image has no label."""
    names = found.names
    for row, value in enumerate(found.labels):
        if value is None or value != value or (names is not None and value == -1):
            csv = " In metadata.csv, NA, None and null are read as none: write metadata.jsonl."
            raise AuditError(
                f"Expected a label for each image in {folder}, row {row} has none."
                + (csv if _has(folder, ["metadata.csv"]) else "")
            )
        if names is not None and not 0 <= value < len(names):
            raise AuditError(
                f"Expected labels from 0 to {len(names) - 1} in {folder}, row {row} has {value}."
            )
    if names is None:
        return by_name([str(value) for value in found.labels])
    return [int(value) for value in found.labels], names


def _encoded(row: int, value: Any, folder: Path) -> Encoded:
    """An image of a table: a mapping of bytes and path, bytes, or a path."""
    data, path = value, None
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
    elif isinstance(value, str):
        data, path = None, value
    if isinstance(data, bytes):
        return Encoded(f"row {row}" + (f" {path}" if path else ""), data=data)
    if not path:
        return Encoded(f"row {row}", fault="no image in the table")
    file = folder / path
    below = file.is_relative_to(folder)
    return Encoded(str(file.relative_to(folder) if below else file), file)
