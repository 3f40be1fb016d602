"""Listing: the image files of a folder that has one sub-folder for each class."""

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import features

from audits.data.dataset_card import METADATA
from audits.data.encoded import HEIF, register_heif
from audits.data.places import expect_ordinary
from audits.data.scan import named
from audits.errors import AuditError

# As torchvision's ImageFolder has them, and JPEG's other suffixes.
_IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".bmp"),
    *(".tif", ".tiff", ".webp"),
)
SPLITS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval")
)
_RUBBISH = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"))


class Listing(NamedTuple):
    """Files with the index of each one's class, and sentences about what was left out."""

    files: list[Path]
    labels: list[int]
    classes: list[str]
    notes: list[str]


def list_classes(root: Path, split: str | None = None) -> Listing:
    """Images in order of class, folder and file name, as torchvision's ImageFolder lists them.

    `split` is the sub-folder that has the folders of classes. Files of other kinds, hidden files
    and what systems leave behind are left out with a note, and so are classes without an image.
    Raises AuditError if there is no folder or no image, and for folders of splits if `split` is
    not named.
    """
    folder = root if split is None else _split(root, split)
    if not folder.is_dir():
        raise AuditError(f"Expected a folder at {folder}, found none.")
    found = _Walk(folder)
    names = found.classes()
    if names and {name.lower() for name in names} <= SPLITS:
        raise AuditError(
            f"Expected one folder a class with images under {folder}, got {', '.join(names)}, "
            f"which look like splits. {split_advice(names)}"
        )
    files: list[Path] = []
    labels: list[int] = []
    classes: list[str] = []
    empty = []
    for name in names:
        images = found.images(folder / name)
        if images:
            labels += [len(classes)] * len(images)
            classes.append(name)
            files += images
        else:
            empty.append(name)
    if not files:
        raise AuditError(_nothing(folder, empty, found))
    notes = found.notes()
    if empty:
        notes.append(f"Folders without an image are no classes: {named(empty)}.")
    return Listing(files, labels, classes, notes)


def split_advice(names: Sequence[str]) -> str:
    """Says how the config names one of several folders of splits, preferably that of the test."""
    others = [name for name in names if not name.lower().startswith("train")]
    tests = [name for name in others if name.lower() == "test"]
    return f"Set data.split: {(*tests, *others, *names)[0]}."


def _split(root: Path, split: str) -> Path:
    if root.is_dir() and not (root / split).is_dir():
        raise AuditError(
            f"Expected the split {split!r} as a folder in {root}, found: "
            f"{named(_Walk(root).classes()) or 'no folder'}."
        )
    return root / split


def _nothing(folder: Path, empty: Sequence[str], found: "_Walk") -> str:
    start = f"Expected one folder a class with images under {folder}, found "
    if any((folder / name).is_file() for name in METADATA):
        return start + "a table of metadata. Set data.kind: huggingface."
    told = [f"no image in {named(empty)}."] if empty else ["no folder."]
    return " ".join([start + told[0], *found.notes()])


class _Walk:
    """Lists folders, and keeps what was not taken."""

    def __init__(self, root: Path):
        self._root = root
        self._rubbish: list[Path] = []
        self._other: list[Path] = []
        self._outside: list[Path] = []

    def classes(self) -> list[str]:
        """Names of the folders in the root."""
        names = []
        for entry in sorted(self._root.iterdir()):
            if _is_rubbish(entry.name):
                self._rubbish.append(entry)
            elif entry.is_dir():
                names.append(entry.name)
            elif entry.suffix.lower() in _suffixes():
                self._outside.append(entry)
        return names

    def images(self, folder: Path) -> list[Path]:
        """Image files under the folder, also behind links to folders."""
        files: list[Path] = []
        for place, folders, names in sorted(self._walked(folder)):
            here = Path(place)
            self._rubbish += [here / name for name in (*folders, *names) if _is_rubbish(name)]
            kept = [here / name for name in sorted(names) if not _is_rubbish(name)]
            files += [file for file in kept if file.suffix.lower() in _suffixes()]
            self._other += [file for file in kept if file.suffix.lower() not in _suffixes()]
        return files

    def _walked(self, folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        """The folders below, each once: with links that lead in rings there would be no end."""
        expect_ordinary(folder)
        seen = {os.path.realpath(folder)}
        for place, folders, names in os.walk(folder, followlinks=True):
            yield place, list(folders), names
            inside = {name: os.path.join(place, name) for name in sorted(folders)}
            folders.clear()
            for name, path in inside.items():
                real = os.path.realpath(path)
                if _is_rubbish(name) or real in seen:
                    continue
                expect_ordinary(Path(path))
                seen.add(real)
                folders.append(name)

    def notes(self) -> list[str]:
        notes = []
        if self._rubbish:
            notes.append(
                f"Hidden files and what systems leave behind are passed over, {len(self._rubbish)} "
                f"in all: {self._named(self._rubbish)}."
            )
        if self._other:
            counts = Counter(file.suffix.lower() or "no suffix" for file in self._other)
            kinds = ", ".join(f"{n} {suffix}" for suffix, n in counts.most_common(5))
            notes.append(
                f"{len(self._other)} files of other kinds ({kinds}) are left out: "
                f"{self._named(self._other)}.{_cure(counts)}"
            )
        if self._outside:
            notes.append(
                f"{len(self._outside)} images outside of the folders of classes are left out: "
                f"{self._named(self._outside)}."
            )
        return notes

    def _named(self, paths: Sequence[Path]) -> str:
        return named([str(path.relative_to(self._root)) for path in paths])


def _is_rubbish(name: str) -> bool:
    return name.startswith(".") or name.lower() in _RUBBISH


def _suffixes() -> tuple[str, ...]:
    """Of files that are taken for images in this environment."""
    heif = HEIF if register_heif() else ()
    return (*_IMAGES, *heif, *((".avif",) if _reads_avif() else ()))


def _reads_avif() -> bool:
    return bool(features.check("avif")) or importlib.util.find_spec("pillow_avif") is not None


def _cure(counts: Counter[str]) -> str:
    told = ""
    if any(counts[suffix] for suffix in HEIF):
        told += " HEIC needs a plug-in: pip install pillow-heif."
    if counts[".avif"]:
        told += " AVIF needs Pillow 11.3 or later."
    if counts[".gif"]:
        told += " GIF is not taken, since it may be animated: convert it to PNG."
    return told
