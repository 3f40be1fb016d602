"""Reads local files by Hugging Face's `datasets` library, without its hub, its cache and its bars.

The library gives paths or bytes of images and never decodes them. Its builders are called
directly: `load_dataset` would tell the hub that a data set is loaded.
"""

import glob
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from audits.data.dataset_card import Card, card_of
from audits.data.imageset import MOST_CLASSES
from audits.data.parquet_size import expect_bounded
from audits.data.places import expect_ordinary
from audits.data.scan import named
from audits.data.table_columns import expect_different_names
from audits.errors import AuditError, quoted

_ONLY = "train"  # the library wants a name of a split for the files that it reads
_AT_ONCE = 1000  # rows
_LONGEST = 1 << 24  # bytes of a JSON with the names of files
_PROGRAMS = (".eps", ".ps")  # Pillow would have Ghostscript run them


class Wanted(NamedTuple):
    """The names of the two columns that are read."""

    image: str
    label: str


class Columns(NamedTuple):
    """The two columns of a data set, in the order of its rows.

    An image is bytes, a path, or a mapping of "bytes" and "path". If `names` is given, the labels
    are indices of these class names. `all_names` are the names of all columns.
    """

    images: list[Any]
    labels: list[Any]
    names: list[str] | None
    all_names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()  # that were read, or name or hold the images


class Listed(NamedTuple):
    """Files below a folder: images, tables of metadata, and those that are left out."""

    images: list[Path]
    metadata: list[Path]
    others: list[Path]


def card(folder: Path) -> Card | None:
    """The card of a folder; None if it has none. Raises AuditError."""
    with _library(folder) as datasets:
        return card_of(datasets, folder)


def listed(folder: Path) -> Listed:
    """Sorts the files below `folder`, without hidden ones and folders that start with "__"."""
    files = Listed([], [], [])
    with _library(folder) as datasets:
        from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

        try:
            found = datasets.data_files.resolve_pattern("**", base_path=glob.escape(str(folder)))
        except FileNotFoundError:  # no file at all
            return files
        for path in map(Path, found):
            kind = path.suffix.lower()
            if kind in ImageFolder.EXTENSIONS and kind not in _PROGRAMS:
                files.images.append(path)
            elif path.name in ImageFolder.METADATA_FILENAMES:
                files.metadata.append(path)
            else:
                files.others.append(path)
    return files


def of_image_files(folder: Path, files: Listed, wanted: Wanted) -> Columns:
    """Image files with labels from tables of metadata or, without any, from folders of classes.

    Raises AuditError if a column is not there.
    """
    place = files.metadata[0] if files.metadata else folder
    paths = files.metadata or files.images  # the tables name the images
    with _library(place) as datasets, _folder() as cache:
        from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

        for table in files.metadata:
            if table.suffix == ".csv":
                expect_different_names(table)
        found = _stream(datasets, ImageFolder, paths, cache)
        features = found.features
        if not files.metadata and wanted.image in features and wanted.label not in features:
            raise AuditError(
                f"Expected two or more folders of classes at the same depth in {folder}, or a "
                f"metadata.csv with the columns file_name and {wanted.label}, found neither."
            )
        _expect(features, wanted, folder)
        label = features[wanted.label]
        if _class_names(datasets, label) is None:
            label = datasets.Value("string")  # "007" of a CSV is no number
        chosen = datasets.Features(
            {wanted.image: datasets.Image(decode=False), wanted.label: label}
        )
        if files.metadata:  # types of its columns are guessed as it is read
            found = _stream(datasets, ImageFolder, paths, cache, features=chosen)
        rows = list(found.cast(chosen))
        return Columns(
            [row[wanted.image] for row in rows],
            [row[wanted.label] for row in rows],
            _class_names(datasets, label),
            tuple(features),
            (*files.images, *files.metadata),
        )


def of_parquet(file: Path, wanted: Wanted) -> Columns:
    """A Parquet file. Raises AuditError if a column is not there."""
    with _library(file) as datasets, _folder() as cache:
        from datasets.packaged_modules.parquet.parquet import Parquet

        expect_bounded(file)
        features = _stream(datasets, Parquet, [file], cache).features
        _expect(features, wanted, file)
        rows = _stream(datasets, Parquet, [file], cache, columns=_different(wanted))
        return _columns(datasets, rows, features, wanted)._replace(files=(file,))


def saved_splits(folder: Path) -> list[str]:
    """The splits that `save_to_disk` wrote; none if it wrote a data set without splits."""
    with _library(folder) as datasets:
        _expect_own_files(folder)
        found = datasets.load_from_disk(str(folder))
        return sorted(found) if isinstance(found, datasets.DatasetDict) else []


def of_saved(folder: Path, split: str | None, wanted: Wanted) -> Columns:
    """A data set that `save_to_disk` wrote.

    Raises AuditError if a column is not there, or if its files are no plain files of the folder.
    """
    with _library(folder) as datasets:
        _expect_own_files(folder)
        found = datasets.load_from_disk(str(folder))
        found = found if split is None else found[split]
        _expect(found.features, wanted, folder)
        rows = found.select_columns(_different(wanted))
        return _columns(datasets, rows, found.features, wanted)


def _expect_own_files(folder: Path) -> None:
    """Raises AuditError if a saved data set would be read from elsewhere, or from a pipe."""
    for entry in folder.rglob("*"):
        expect_ordinary(entry)
        if not (entry.is_file() or entry.is_dir()):
            raise AuditError(f"Expected files and folders in {folder}, got {entry.name}.")
    told = {file: _read(file).get("splits", []) for file in folder.glob("dataset_dict.json")}
    for file in folder.rglob("state.json"):
        told[file] = [one["filename"] for one in _read(file).get("_data_files", [])]
    for file, names in told.items():
        for name in map(str, names):
            if Path(name).name != name:
                raise AuditError(
                    f"Expected names of files and folders beside {file} in it, got "
                    f"{quoted(name)}. Save the data set again."
                )


def _read(file: Path) -> Any:
    with file.open("rb") as stream:
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise AuditError(f"Expected a {file.name} of at most {_LONGEST:,} bytes at {file}.")
    return json.loads(text)


def _stream(datasets: Any, builder: Any, files: Sequence[Path], cache: str, **settings: Any) -> Any:
    """Rows that are read while they are asked for; nothing is written but a lock in `cache`."""
    # As patterns, names that have a [ would mean other files.
    files_of = datasets.data_files
    given = files_of.DataFilesDict({_ONLY: files_of.DataFilesList([str(f) for f in files], [])})
    made = builder(cache_dir=cache, data_files=given, **settings)
    return made.as_streaming_dataset(split=_ONLY)


def _columns(datasets: Any, rows: Any, features: Any, wanted: Wanted) -> Columns:
    tables = list(
        rows.with_format("arrow").iter(batch_size=_AT_ONCE)
    )  # a format that decodes nothing
    images, labels = (
        [value for table in tables for value in table.column(name).to_pylist()] for name in wanted
    )
    names = _class_names(datasets, features[wanted.label])
    return Columns(images, labels, names, tuple(features))


def _different(wanted: Wanted) -> list[str]:
    return list(dict.fromkeys(wanted))


def _class_names(datasets: Any, feature: Any) -> list[str] | None:
    if not isinstance(feature, datasets.ClassLabel):
        return None
    if len(feature.names) > MOST_CLASSES:
        raise AuditError(
            f"Expected at most {MOST_CLASSES:,} class names, got {len(feature.names):,}. Name the "
            "classes of these images alone."
        )
    return [str(name) for name in feature.names]  # as the library names them


def _expect(features: Any, wanted: Wanted, place: Path) -> None:
    for name in wanted:
        if name not in features:
            raise AuditError(
                f"Expected a column {name!r} in {place}, found: {named(list(features))}."
            )


@contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        yield folder


@contextmanager
def _library(place: Path) -> Iterator[Any]:
    """The library, quiet as long as it reads `place`. Raises AuditError for its errors."""
    datasets = _imported()
    utils, config, log = datasets.utils, datasets.config, logging.getLogger("datasets")
    bars, level, torch = not utils.are_progress_bars_disabled(), log.level, config.TORCH_AVAILABLE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            log.setLevel(logging.CRITICAL + 1)
            # With torch it counts epochs in shared memory, which the process of a model may lack.
            config.TORCH_AVAILABLE = False
            utils.disable_progress_bars()
            yield datasets
    except AuditError:
        raise
    except Exception as error:  # of the library, or of the packages that it reads with
        told = " ".join(str(error).split())
        known = told and isinstance(error, ValueError | OSError)
        reason = told if known else f"{type(error).__name__} {told}".rstrip()
        raise AuditError(f"Expected a table of images at {place}: {reason}") from error
    finally:
        config.TORCH_AVAILABLE = torch
        log.setLevel(level)
        if bars:
            utils.enable_progress_bars()


def _imported() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise AuditError(
            f"Expected the package datasets ({error}). pip install 'fillblanks[huggingface]'"
        ) from error
    return datasets
