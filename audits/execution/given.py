"""The files of model and data that the model's process is given to read, and no others."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from audits.data import places
from audits.data.built import DataKind
from audits.data.imageset import ImageSet
from audits.execution.confinement.readable import homes
from audits.models.files import ModelFiles

_PLACES = ("path", "root")  # fields of data that name a place, absolute or not


def to_read(
    models: Iterable[ModelFiles | None], data: DataKind, images: ImageSet, copies: Mapping[str, str]
) -> tuple[str, ...]:
    """Files and folders, with all links followed: what a model's process needs to load all of it.

    `data` may name a folder that has links to images in it, or a table of images that lie anywhere:
    then the images' folders are given too, or, in the home, the images alone.
    """
    given = [model.folder for model in models if model is not None]
    given += [*copies.values(), *_named(data)]
    found = {os.path.realpath(place) for place in given}
    outside: set[str] = set()
    for path in images.files:
        file = os.path.realpath(path)
        if not any(folder in found for folder in (file, *map(str, Path(file).parents))):
            outside.add(file)
    too_wide = homes()
    for file in outside:
        folder = os.path.dirname(file)
        found.add(file if folder in too_wide else folder)
    return tuple(sorted(found))


def _named(data: DataKind) -> list[str]:
    """Places of this machine that the config of the data names."""
    texts = {name: value for name, value in data if isinstance(value, str)}
    paths = {
        name: Path(text.removeprefix("file://")).expanduser()
        for name, text in texts.items()
        if places.is_here(text)
    }
    return [str(path) for name, path in paths.items() if name in _PLACES or path.is_absolute()]
