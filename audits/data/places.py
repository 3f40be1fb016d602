"""Places: a folder or a file that a config names by a path, an fsspec URI or an MLflow artifact.

A folder or file of another machine is copied into the user's cache folder, and again if the place
tells other facts about its files (names, sizes, times or tags). MLflow tells names and sizes alone.
The model's process is told where the copies are, since it may have neither network nor secrets.
"""

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
from fsspec.registry import known_implementations

from audits.data.bounded_copy import Bounded
from audits.data.copies import MLFLOW, Listing, copied, given
from audits.errors import AuditError, quoted

_MODEL = re.compile(
    r"(?P<uri>models:/(?:m-[0-9a-f]{32}|[^/@]+@[^/]+|[^/@]+/[^/]+))(?:/(?P<inside>.+))?"
)
_AT_ONCE = 16  # files that are copied at a time
# The facts of file systems about a file that change with its content; a size may stay.
_TELLING = (
    *("size", "ETag", "etag", "md5Hash", "generation", "mtime", "LastModified"),
    *("last_modified", "updated", "created"),
    *("Last-Modified", "CRC", "date_time", "modify", "modificationTime", "last_write_time"),
    *("blob_id", "hex", "content_md5", "checksum", "version_id"),
)
_SYSTEM = ("/proc", "/sys", "/dev")
_SHARED_MEMORY = "/dev/shm"  # holds ordinary files
# Their addresses do not say which files are read: another file does, or an address inside them.
_LEADING_ELSEWHERE = ("asynclocal", "generic", "reference")


def folder_at(place: str) -> Path:
    """The folder, or a copy of it. Raises AuditError if it cannot be had."""
    if is_here(place):
        return path_here(place)
    if (copy := given(place)) is not None:
        return copy
    if place.startswith(MLFLOW):
        return _copied(place, _mlflow_listing(place), lambda folder: _from_mlflow(place, folder))
    files, root = _file_system(place)
    found = _told(place, lambda: files.find(root, detail=True))
    listing = [(path, _telling(info)) for path, info in sorted(found.items())]
    around = _around(place)
    by_content = not all(map(_is_telling, [*found.values(), *around]))

    def fetch(folder: Path) -> Path:
        target = folder / (root.rstrip("/").rsplit("/", 1)[-1] or "data")
        for path in found:
            inside = target / path.removeprefix(root.rstrip("/")).lstrip("/")
            if not inside.resolve().is_relative_to(target.resolve()):
                raise AuditError(f"Expected files inside {place}, got {path}.")
            inside.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(path, str(inside), callback=Bounded(found[path]))
        return target

    return _copied(place, _with(listing, around), fetch, by_content)


def file_at(place: str) -> Path:
    """The file, or a copy of it. Raises AuditError if it cannot be had."""
    if is_here(place):
        path = path_here(place)
        if not path.is_file():
            raise AuditError(f"Expected a file at {path}, found none.")
        return path
    if (copy := given(place)) is not None:
        return copy
    if place.startswith(MLFLOW):
        parent, _, name = place.rpartition("/")
        listing = _mlflow_listing(parent, deep=False)
        listing = [(path, told) for path, told in listing if path in ("", name)]
        if not any(path for path, _ in listing):
            raise AuditError(f"Expected a file at {place}, found none.")
        return _copied(place, listing, lambda folder: _from_mlflow(place, folder))
    files, root = _file_system(place)
    info = _told(place, lambda: files.info(root))
    around = _around(place)
    by_content = not all(map(_is_telling, [info, *around]))

    def fetch(folder: Path) -> Path:
        target = folder / root.rsplit("/", 1)[-1]
        files.get_file(root, str(target), callback=Bounded(info))
        return target

    return _copied(place, _with([(root, _telling(info))], around), fetch, by_content)


def files_at(places: Sequence[str]) -> list[Path | AuditError]:
    """The file of each place, several copied at a time, or why it cannot be had."""
    far = [place for place in places if not is_here(place)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        copies = dict(zip(far, pool.map(_file_or_error, far), strict=True))
    return [copies[place] if place in copies else _here_or_error(place) for place in places]


def is_here(place: str) -> bool:
    """Whether it is a path of this machine and not a URI of another kind."""
    return "://" not in place.removeprefix("file://") and not place.startswith(MLFLOW)


def expect_ordinary(path: Path) -> None:
    """Raises AuditError for a path to what the kernel tells (/proc, /sys) and to devices (/dev).

    Raises AuditError too for a text that no file can have as its path.
    """
    try:
        path.lstat()
    except (OSError, ValueError) as error:  # ValueError: it has a NUL
        if not isinstance(error, OSError) or error.errno == errno.ENAMETOOLONG:
            raise AuditError(f"Expected the path of a file, got {quoted(str(path))}.") from None
    for found in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):
        below = [system for system in _SYSTEM if found.is_relative_to(system)]
        if below and not found.is_relative_to(_SHARED_MEMORY):
            raise AuditError(
                f"Expected data in ordinary files, got {path}, which is below {below[0]}. Copy the "
                "images elsewhere."
            )


def _file_or_error(place: str) -> Path | AuditError:
    try:
        return file_at(place)
    except AuditError as error:
        return error


def _here_or_error(place: str) -> Path | AuditError:
    try:
        return path_here(place)
    except AuditError as error:
        return error


def path_here(place: str) -> Path:
    """The path of this machine. Raises AuditError as `expect_ordinary`."""
    path = Path(place.removeprefix("file://")).expanduser()
    expect_ordinary(path)
    return path


def _file_system(place: str) -> tuple[Any, str]:
    parts = place.split("::")  # of one file system in another
    expect_own_address(place)
    for part in parts:  # before a file system opens the file in which it is
        protocol, _, path = part.rpartition("://")
        if protocol in ("", "file", "local"):
            _expect_no_pipe(Path(path))
    try:
        files, root = _told(place, lambda: fsspec.core.url_to_fs(place))
    except ImportError as error:
        known = known_implementations.get(place.partition("://")[0], {})
        package = str(known.get("class", "")).partition(".")[0]
        cure = f" Do pip install {package}." if package not in ("", "fsspec") else ""
        raise AuditError(f"Expected a package that reads {place}: {error}.{cure}") from error
    files.invalidate_cache()  # this process may have listed the place before its files changed
    return files, str(root)


def expect_own_address(place: str) -> None:
    """Raises AuditError for a place whose address does not say which files are read."""
    for part in place.split("::"):
        kind = part.partition("://")[0]
        if kind in _LEADING_ELSEWHERE:
            raise AuditError(
                f"Expected data at a place that says which files are read, got {kind} in {place}. "
                "Name the files themselves."
            )


def _expect_no_pipe(path: Path) -> None:
    expect_ordinary(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise AuditError(f"Expected data in ordinary files, got {path}, which is none.")


def _told(place: str, ask: Callable[[], Any], act: str = "get them") -> Any:
    try:
        return ask()
    except (AuditError, ImportError):
        raise
    except Exception as error:  # of a file system of another package: no credentials, say
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AuditError(f"Expected data at {place}, could not {act}: {reason}") from error


def _around(place: str) -> list[dict[str, Any]]:
    """What is told about the files in which the place is, as an archive."""
    parts = place.split("::")
    # A cache has no address; it is looked through.
    starts = [at for at in range(1, len(parts)) if "://" in parts[at] or at == len(parts) - 1]
    outer = ["::".join(parts[at:]) for at in starts]
    found: list[dict[str, Any]] = _told(place, lambda: [_info(one) for one in outer])
    return found


def _info(place: str) -> dict[str, Any]:
    files, root = fsspec.core.url_to_fs(place)
    found: dict[str, Any] = files.info(root)
    return found


def _telling(info: dict[str, Any]) -> str:
    return repr([(key, str(info[key])) for key in _TELLING if info.get(key) is not None])


def _is_telling(info: dict[str, Any]) -> bool:
    """Whether a file that changes, and keeps its size, would be told otherwise."""
    return any(info.get(key) is not None for key in _TELLING if key != "size")


def _with(listing: Listing, around: Iterable[dict[str, Any]]) -> Listing:
    return [*listing, *(("", _telling(info)) for info in around)] if listing else []


def _copied(
    place: str, listing: Listing, fetch: Callable[[Path], Path], by_content: bool = False
) -> Path:
    def fetched(folder: Path) -> Path:
        copy: Path = _told(place, lambda: fetch(folder), f"copy them to {folder}")
        return copy

    return copied(place, listing, fetched, by_content=by_content)


def _mlflow_listing(place: str, deep: bool = True) -> Listing:
    found: Listing = _of_mlflow(place, lambda: _listed(place, deep))
    return sorted(found) if any(path for path, _ in found) else []


def _listed(place: str, deep: bool) -> Listing:
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    from audits.data.artifact_stores import store_at

    found: Listing = []
    model = _MODEL.fullmatch(place)
    if model is not None:  # an alias may lead elsewhere by tomorrow
        found.append(("", ModelsArtifactRepository.get_underlying_uri(model["uri"])))
    repository = store_at(model["uri"] if model else place)
    start = model["inside"] if model else None
    folders = [start]
    while folders:
        for entry in repository.list_artifacts(folders.pop()):
            if entry.is_dir and deep:
                folders.append(entry.path)
            else:
                path = entry.path.removeprefix(f"{start}/") if start else entry.path
                found.append((path, str(entry.file_size)))
    return found


def _from_mlflow(place: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    def ask() -> Path:
        return Path(download_artifacts(artifact_uri=place, dst_path=str(folder)))

    copy: Path = _of_mlflow(place, ask)
    return copy


def _of_mlflow(place: str, ask: Callable[[], Any]) -> Any:
    """As `_told`, also for a store whose package is missing: MLflow tells only its name."""
    try:
        return _told(place, ask)
    except ImportError as error:
        raise AuditError(
            f"Expected data at {place}, could not get them: {error}. Install the package that "
            "reads its store."
        ) from error
