"""The files of model and data that the model's process is given to read, and no others."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from audits.checks.base import Check
from audits.data import places
from audits.data.built import DataKind
from audits.data.imageset import ImageSet
from audits.execution.confinement.readable import homes
from audits.models.files import ModelFiles

PLACES = ("path", "root")  # fields of data that name a place, absolute or not


def to_read(
    models: Iterable[ModelFiles | None],
    data: DataKind,
    images: ImageSet,
    copies: Mapping[str, str],
    checks: Iterable[Check] = (),
) -> tuple[str, ...]:
    """Files and folders that a model's process needs to load all of it.

    Each is named with all links followed and, if it was named by links, by those too. `data` may
    name a folder that has links to images in it, or a table of images that lie anywhere: then the
    images' folders are given too, or, in the home, the images alone.
    """
    given = [model.folder for model in models if model is not None]
    given += [*copies.values(), *named_places(data).values()]
    given += [place for check in checks for place in places_of(check).values()]
    found = {os.path.realpath(place) for place in given}
    by_links = set(map(_absolute, given))
    known, too_wide = found | by_links, homes()
    files = {path: os.path.realpath(path) for path in map(_absolute, images.files)}
    outside = {file for file in files.values() if not _is_in(file, known)}
    for file in outside:
        folder = os.path.dirname(file)
        found.add(file if folder in too_wide else folder)
    unknown = {name: os.path.dirname(name) for name in files if not _is_in(name, known)}
    wide = {folder for folder in set(unknown.values()) if os.path.realpath(folder) in too_wide}
    by_links |= {name if folder in wide else folder for name, folder in unknown.items()}
    return tuple(sorted(found | {name for name in by_links if not _is_in(name, found)}))


def places_of(check: Check) -> dict[str, str]:
    """Absolute paths that the fields of a check name, by the fields."""
    named = {name: getattr(check, name) for name in check.places}
    return {
        name: _absolute(Path(text).expanduser())
        for name, text in named.items()
        if text and isinstance(text, str)  # else columns of the data's table
    }


def _is_in(file: str, folders: set[str]) -> bool:
    return any(folder in folders for folder in (file, *map(str, Path(file).parents)))


def _absolute(path: str | Path) -> str:
    """The path with its links and `..`: behind a link `..` is another folder."""
    return os.path.join(os.getcwd(), path)


def named_places(data: DataKind) -> dict[str, str]:
    """Absolute paths of this machine that the config of the data names, by their fields."""
    texts = {name: value for name, value in data if isinstance(value, str)}
    paths = {
        name: Path(text.removeprefix("file://")).expanduser()
        for name, text in texts.items()
        if places.is_here(text)
    }
    return {
        name: _absolute(path)
        for name, path in paths.items()
        if name in PLACES or path.is_absolute()
    }
