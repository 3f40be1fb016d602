"""Copies of data of other machines, in the user's cache folder.

The name of a copy is made of its place and of the facts that the place tells about its files
(names, sizes, times or tags), so files that have changed are copied anew.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audits.data.own_folders import expect_own
from audits.errors import AuditError

MLFLOW = ("runs:/", "models:/", "mlflow-artifacts:/")
"""How MLflow's places begin."""

Listing = list[tuple[str, str]]
"""A file's path and the facts that its place tells about it."""

_made: dict[str, str] = {}  # copies of this process, by place
_fetched: dict[str, Listing] = {}  # as it was when they were made
_given: dict[str, str] = {}
_BLOCK = 1 << 20


def copies() -> dict[str, str]:
    """Paths of the copies that this process uses, by place."""
    return dict(_made)


def use(copies: Mapping[str, str]) -> None:
    """From now on these copies are taken without a look at their places."""
    _given.clear()
    _given.update(copies)


def given(place: str) -> Path | None:
    """The copy of a place that this process was told to take."""
    return Path(_given[place]) if place in _given else None


def copied(
    place: str, listing: Listing, fetch: Callable[[Path], Path], *, by_content: bool = False
) -> Path:
    """The copy of the files of a place; `fetch` makes it in a folder if there is none.

    With `by_content` the listing does not tell whether files have changed: each process fetches
    them once and compares them with the copies that are there.
    """
    if not listing:
        raise AuditError(f"Expected data at {place}, found none.")
    named = (_server(place), place, listing)
    if by_content and _fetched.get(place) == listing and Path(_made[place]).exists():
        return Path(_made[place])
    if by_content or not _kept(named).is_dir():
        _cache().mkdir(parents=True, exist_ok=True, mode=0o700)
        _expect_own(_cache())
        with tempfile.TemporaryDirectory(dir=_cache(), prefix="copying-") as folder:
            fetched, made = Path(folder) / "fetched", Path(folder) / "made"
            fetched.mkdir()
            made.mkdir()
            # MLflow puts a file of a model below the folders that it has there.
            os.rename(fetch(fetched), made / place.rstrip("/").rsplit("/", 1)[-1])
            kept = _kept((*named, _content(made)) if by_content else named)
            try:
                os.rename(made, kept)
            except OSError:
                if not kept.is_dir():  # else it was there, or another process was faster
                    raise
    else:
        kept = _kept(named)
    _expect_own(kept)
    copy = next(kept.iterdir())
    _made[place], _fetched[place] = str(copy), listing
    return copy


def _kept(named: tuple[Any, ...]) -> Path:
    kept = _cache() / hashlib.sha256(repr(named).encode()).hexdigest()
    for one in (_cache(), kept):
        _expect_own(one)
    return kept


def _expect_own(folder: Path) -> None:
    expect_own("copies of data", _cache(), folder, "Set XDG_CACHE_HOME to another folder.")


def _content(folder: Path) -> str:
    """sha256 of the names and bytes of the files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        own = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                own.update(block)
        digest.update(f"{own.hexdigest()} {str(file.relative_to(folder))!r}\n".encode())
    return digest.hexdigest()


def _server(place: str) -> str:
    """Where MLflow's URIs point to: the same URI is something else on another server."""
    if not place.startswith(MLFLOW):
        return ""
    import mlflow

    return f"{mlflow.get_tracking_uri()} {mlflow.get_registry_uri()}"


def _cache() -> Path:
    """`fillblanks/data` in the user's cache folder, beside the store of finished units."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fillblanks" / "data"
