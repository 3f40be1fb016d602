"""A bound for the copy of a file of another machine: a server may send without end."""

from collections.abc import Mapping
from typing import Any

import fsspec

_UNTOLD = 4 << 30  # bytes, at most, of a file whose size nobody tells


class Bounded(fsspec.callbacks.Callback):  # type: ignore[misc]  # fsspec has no types
    """A callback of `get_file` that ends a copy beyond the size that `info` tells in bytes."""

    def __init__(self, info: Mapping[str, Any]):
        super().__init__()
        self._most = _UNTOLD if info.get("size") is None else int(info["size"])

    def relative_update(self, inc: int = 1) -> None:
        """Counts `inc` bytes more. Raises OSError if they are too many."""
        super().relative_update(inc)
        if self.value > self._most:
            raise OSError(f"a file was told to have {self._most:,} bytes at most, and has more")
