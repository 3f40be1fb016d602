"""Writes an archive of torch.export from what was read: the same bytes for the same content."""

import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from audits.models.pt2.archive import Archive, expect_file
from audits.models.pt2.documents import Json, refused
from audits.models.pt2.payloads import Payload
from audits.models.pt2.signature import Nested
from audits.models.pt2.tensors import TensorMeta

_FOLDER = "model/"
_NO_32 = 0xFFFFFFFF
_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
}


def write_archive(archive: Archive, target: BinaryIO) -> str:
    """Writes the archive anew. The tensors' numbers are copied piece by piece.

    Returns the sha256 of its members, but for the sample inputs, whose bytes depend on torch.
    Raises ModelRefused if the numbers are damaged.
    """
    zipped = _Zip(target)
    for folder, prefix, payloads in (
        ("weights", "weight_", archive.weights),
        ("constants", "tensor_", archive.constants),
    ):
        files = {
            member: f"{prefix}{number}"
            for number, member in enumerate(
                dict.fromkeys(payload.member for payload in payloads.values())
            )
        }
        for member, file in files.items():
            said = archive.container.members[member]
            pieces = archive.container.pieces(member)
            zipped.add(f"data/{folder}/{file}", pieces, said.size, said.crc)
        zipped.add_bytes(f"data/{folder}/model_{folder}_config.json", _config(payloads, files))
    zipped.add_bytes("models/model.json", _json(archive.program.json()))
    zipped.add_bytes("archive_format", b"pt2")
    zipped.add_bytes("archive_version", b"0")
    zipped.add_bytes("byteorder", b"little")
    zipped.add_bytes(".data/version", b"6\n")
    digest = zipped.digest
    zipped.add_bytes("data/sample_inputs/model.pt", _samples(archive))
    zipped.finish()
    return digest


def check_archive(path: Path) -> str:
    """The digest of what `write_archive` writes from a file; the tensors' checksums are checked.

    Raises ModelRefused unless the archive holds what exported image networks hold.
    """
    expect_file(path)
    with path.open("rb") as stream, open(os.devnull, "wb") as nowhere:
        return write_archive(Archive.read(stream), nowhere)


def _config(payloads: dict[str, Payload], files: dict[str, str]) -> bytes:
    entries = {name: one.json(files[one.member]) for name, one in payloads.items()}
    return _json({"config": entries})


def _json(value: Json) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _samples(archive: Archive) -> bytes:
    """Inputs of the sizes of the export's example, all zero, from which torch takes their names."""
    given = [
        _sample(spec.value.kind, spec.value.value, archive.program.graph.tensors)
        for spec in archive.program.inputs
        if spec.kind in ("user_input", "constant_input")
    ]
    buffer = io.BytesIO()
    torch.save(_filled(archive.program.call.inputs, iter(given)), buffer)
    return buffer.getvalue()


def _sample(kind: str, value: Json, tensors: dict[str, TensorMeta]) -> Any:
    if kind == "as_none":
        return None
    if kind != "as_tensor":
        return 0 if kind == "as_sym_int" else value
    meta = tensors.get(value["name"])
    if meta is None:
        raise refused("the sizes of each input", value["name"])
    sizes = [1 if one.known is None else one.known for one in meta.sizes]
    return torch.zeros((), dtype=_DTYPES[meta.dtype]).expand(sizes)


def _filled(nested: Nested | None, values: Any) -> Any:
    if nested is None:
        return next(values)
    inner = [_filled(one, values) for one in nested.inner]
    if nested.keys:
        return dict(zip(nested.keys, inner, strict=True))
    if nested.kind == "builtins.list":
        return inner
    return tuple(inner) if nested.kind == "builtins.tuple" else {}


class _Zip:
    """A zip of stored members without dates, with sizes of 64 bits, in the order of adding."""

    def __init__(self, target: BinaryIO):
        self._target = target
        self._entries: list[bytes] = []
        self._at = 0
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The sha256 of names, sizes and contents up to now."""
        return self._hash.hexdigest()

    def add_bytes(self, name: str, content: bytes) -> None:
        self.add(name, [content], len(content), zlib.crc32(content))

    def add(self, name: str, pieces: Iterable[bytes], size: int, crc: int) -> None:
        """Adds a member whose size and checksum are known; `pieces` checks them."""
        path = (_FOLDER + name).encode("ascii")
        place = self._at
        extra = struct.pack("<2H2Q", 1, 16, size, size)
        # Version 4.5, stored, 1980-01-01.
        head = struct.pack("<5H", 45, 0, 0, 0, 0x21) + struct.pack("<3L", crc, _NO_32, _NO_32)
        self._put(b"PK\x03\x04" + head + struct.pack("<2H", len(path), len(extra)) + path + extra)
        self._hash.update(struct.pack("<2Q", len(path), size) + path)
        for piece in pieces:
            self._hash.update(piece)
            self._put(piece)
        extra = struct.pack("<2H3Q", 1, 24, size, size, place)
        rest = struct.pack("<5H2L", len(path), len(extra), 0, 0, 0, 0, _NO_32)
        self._entries.append(b"PK\x01\x02" + struct.pack("<H", 45) + head + rest + path + extra)

    def finish(self) -> None:
        """Writes the directory."""
        place, many = self._at, len(self._entries)
        for entry in self._entries:
            self._put(entry)
        end, size = self._at, self._at - place
        self._put(
            struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, many, many, size, place)
        )
        self._put(struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1))
        short = min(many, 0xFFFF), min(many, 0xFFFF), min(size, _NO_32), min(place, _NO_32)
        self._put(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *short, 0))

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self._at += len(data)
