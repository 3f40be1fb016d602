"""The files of a model's folder: plain files alone, and a sha256 of each."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from audits.errors import ModelRefused, quoted

_LONGEST = 4096  # bytes of a name and a version
WRITTEN_BY_CLIENT = "registered_model_meta"
"""A file at the top with name and version: MLflow's client writes it into copies of a version."""


def sha256_by_path(folder: Path) -> dict[str, str]:
    """The sha256 of each file below `folder`, by its relative path with slashes, in their order.

    Left out is the file of `WRITTEN_BY_CLIENT` if it has what the client writes and no more: with
    files on this machine's disk it appears in the folder when somebody loads the version.

    Raises ModelRefused for links, for what is neither a file nor a folder, and for what cannot be
    read.
    """
    found = {
        file.relative_to(folder).as_posix(): sha256_of(file)
        for file in _plain_files(folder)
        if not (file == folder / WRITTEN_BY_CLIENT and _has_name_and_version(file))
    }
    return dict(sorted(found.items()))


def expect_plain(folder: Path) -> None:
    """Raises ModelRefused for links, pipes and devices below `folder`. No file is opened."""
    for _ in _plain_files(folder):
        pass


def digest_of(files: Mapping[str, str], flavour: str) -> str:
    """One sha256 of a model's whole folder and of the flavour in which it is taken."""
    # Lengths before the texts: no two folders give the same bytes.
    told = [flavour, *(text for path in sorted(files) for text in (path, files[path]))]
    whole = hashlib.sha256()
    for text in told:
        data = text.encode("utf-8", "surrogateescape")
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The paths of files that were added, that are gone, or whose sha256 is another."""
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


def sha256_of(file: Path) -> str:
    """The sha256 of one file. Raises ModelRefused if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelRefused(
            f"Expected files that can be read in the model's folder, got {quoted(file.name)}: "
            f"{error.strerror}. Log the model again, or mend the rights of its files."
        ) from error


def _has_name_and_version(file: Path) -> bool:
    with file.open("rb") as stream:
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        return False
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    names = found.keys() if isinstance(found, dict) else ()
    return set(names) == {"model_name", "model_version"} and all(
        isinstance(value, str | int) for value in found.values()
    )


def _plain_files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ModelRefused(
            f"Expected a model's folder that can be read, got {quoted(folder.name)}: "
            f"{error.strerror}. Log the model again."
        ) from error
    for entry in found:
        if entry.is_symlink():
            raise ModelRefused(
                f"Expected plain files in the model's folder, got the link {quoted(entry.name)}. "
                "Log the model again, with the file itself."
            )
        if entry.is_dir(follow_symlinks=False):
            yield from _plain_files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        else:
            raise ModelRefused(
                f"Expected plain files in the model's folder, got {quoted(entry.name)}, which is "
                "neither a file nor a folder. Log the model again."
            )
