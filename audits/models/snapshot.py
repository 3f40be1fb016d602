"""Snapshot: inside a snapshot each URI is resolved once, and a model's files are copied once.

Without a snapshot a gate would ask MLflow ten times for the same version, and an alias that moves
meanwhile would name several versions within one gate.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

_Resolved = TypeVar("_Resolved")


@dataclass
class _Memory:
    folder: Path  # for copies of files
    resolved: dict[str, object]
    files: dict[str, Path] = field(default_factory=dict)


_memory: ContextVar[_Memory | None] = ContextVar("audits_registry_snapshot", default=None)


@contextmanager
def snapshot() -> Iterator[None]:
    """Opens a snapshot, unless one is open. Its copies of files are deleted at its end."""
    if _memory.get() is not None:
        yield
        return
    with _opened({}):
        yield


@contextmanager
def files_anew() -> Iterator[None]:
    """Inside a snapshot: keeps the resolved versions, but copies files again."""
    outer = _memory.get()
    with _opened({} if outer is None else outer.resolved):
        yield


@contextmanager
def _opened(resolved: dict[str, object]) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        token = _memory.set(_Memory(Path(folder), resolved))
        try:
            yield
        finally:
            _memory.reset(token)


def resolved_once(uri: str, resolve: Callable[[str], _Resolved]) -> _Resolved:
    """The model that `resolve` finds for `uri`; inside a snapshot, `resolve` is called once."""
    memory = _memory.get()
    if memory is None:
        return resolve(uri)
    if uri not in memory.resolved:
        memory.resolved[uri] = resolve(uri)
    found: _Resolved = memory.resolved[uri]  # type: ignore[assignment]
    return found


def copied_once(uri: str, folder: Path, copy: Callable[[Path], Path]) -> Path:
    """Copies the files of `uri` into `folder`; inside a snapshot, once into its own folder."""
    memory = _memory.get()
    if memory is None:
        return copy(folder)
    if uri not in memory.files:
        target = tempfile.mkdtemp(dir=memory.folder)  # a copy that failed leaves one behind
        memory.files[uri] = copy(Path(target))
    return memory.files[uri]
