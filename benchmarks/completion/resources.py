"""Reads the files of a Qt resource container (.rcc), in which GCompris has its photographs."""

import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER, _MAGIC = ">4sIIII", b"qres"
_COMPRESSED, _FOLDER = 1 | 4, 2  # zlib or zstd; flags of an entry
_ENTRY, _ENTRY_OF_1 = 22, 14  # bytes; later versions have a time


def files(container: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file that is not compressed.

    Raises ValueError if `container` is no container of resources.
    """
    data = container.read_bytes()
    if not data.startswith(_MAGIC):
        raise ValueError(f"Expected a Qt resource container, got {container}. Name another file.")
    _, version, tree, contents, names = struct.unpack_from(_HEADER, data)
    size = _ENTRY if version > 1 else _ENTRY_OF_1

    def name(at: int) -> str:
        (length,) = struct.unpack_from(">H", data, names + at)
        start = names + at + 6  # behind the length and a hash
        return data[start : start + 2 * length].decode("utf-16-be")

    def below(entry: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + entry * size
        called, flags = struct.unpack_from(">IH", data, at)
        path = f"{folder}/{name(called)}" if entry else ""
        if flags & _FOLDER:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from below(child, path)
        elif not flags & _COMPRESSED:
            (offset,) = struct.unpack_from(">I", data, at + 10)
            (length,) = struct.unpack_from(">I", data, contents + offset)
            start = contents + offset + 4
            yield path, data[start : start + length]

    yield from below(0, "")
