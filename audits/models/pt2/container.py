"""Container: a zip read so strictly that no other reader can find something else in it.

Each byte of the file belongs to one member or to the directory; the directory and the headers of
the members say the same; no name comes twice.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from audits.errors import ModelRefused, quoted

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}(/[A-Za-z0-9_.-]{1,128}){1,4}")
_NO_16, _NO_32 = 0xFFFF, 0xFFFFFFFF
_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11
_STORED, _DEFLATED = 0, 8
_ZIP64, _PADDING = 0x0001, 0x4246  # PaddingField of torch: "FB"
_DIRECTORY_BYTES = 8 << 20
_RATIO = 100  # bytes that one compressed byte of a member may give
_TOTAL_RATIO, _TOTAL_BYTES = 8, 64 << 20  # and all members: eight times the file, and 64 MiB
_PIECE = 1 << 22


@dataclass(frozen=True)
class Member:
    """One file in the zip; sizes and places are in bytes."""

    name: str  # without the folder that torch puts all members into
    place: int  # of the header
    flags: int
    method: int
    crc: int
    stored: int  # its size in the zip
    size: int


class Container:
    """The members of the zip in `stream`, by name. Raises ModelRefused if the zip is unusual."""

    def __init__(self, stream: BinaryIO, start: int = 0, size: int | None = None):
        self._stream, self._start = stream, start
        self._bytes = stream.seek(0, 2) - start if size is None else size
        entries, place, end = self._end()
        listed = self._directory(entries, place, end)
        self._starts = {}
        for member, after in zip(listed, [*(one.place for one in listed[1:]), place], strict=True):
            self._starts[member.name] = self._checked_start(member, after)
        total = sum(member.size for member in listed)
        if total > _TOTAL_RATIO * self._bytes + _TOTAL_BYTES:
            raise broken("members that are not much larger than the zip", f"{total} bytes")
        roots = {member.name.split("/")[0] for member in listed}
        if len(roots) != 1:
            raise broken("one folder of members", sorted(roots))
        (root,) = roots
        self.members = {member.name[len(root) + 1 :]: member for member in listed}

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a member, piece by piece; its size and checksum are checked."""
        member = self.members[name]
        size, crc = 0, 0
        for piece in self._inflated(member) if member.method == _DEFLATED else self._raw(member):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            if size > member.size:
                break
            yield piece
        if (size, crc) != (member.size, member.crc):
            raise broken("members of the size and checksum that the zip names", name)

    def _raw(self, member: Member) -> Iterator[bytes]:
        at, end = self._starts[member.name], self._starts[member.name] + member.stored
        while at < end:
            piece = self._bytes_at(at, min(end - at, _PIECE))
            if not piece:
                raise broken("a whole zip", "one whose end is missing")
            at += len(piece)
            yield piece

    def _inflated(self, member: Member) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-15)
        try:
            for raw in self._raw(member):
                rest = raw
                while rest and not inflate.eof:
                    yield inflate.decompress(rest, _PIECE)
                    rest = inflate.unconsumed_tail
                if rest or inflate.unused_data:
                    raise broken("compressed members without a rest", member.name)
        except zlib.error as error:
            raise broken("members that can be inflated", member.name) from error
        if not inflate.eof:
            raise broken("whole compressed members", member.name)

    def read(self, name: str, most: int) -> bytes:
        """The content of a member of up to `most` bytes."""
        if name not in self.members:
            raise broken(f"a record {name}", "none")
        if self.members[name].size > most:
            raise broken(f"at most {most} bytes in {name}", self.members[name].size)
        return b"".join(self.pieces(name))

    def zip_in(self, name: str, most: int) -> "Container":
        """The zip that is a member; one of more than `most` bytes must be stored as it is."""
        member = self.members[name]
        if member.method == _STORED:
            start = self._start + self._starts[member.name]
            return Container(self._stream, start, member.size)
        return Container(io.BytesIO(self.read(name, most)))

    def _end(self) -> tuple[int, int, int]:
        """The number of members, the place of the directory and its end."""
        at = self._bytes - _END.size
        if at < 0:
            raise broken("a zip", f"{self._bytes} bytes")
        mark, disk, other, here, entries, size, place, comment = self._unpacked(_END, at)
        if mark != b"PK\x05\x06" or comment or disk or other or here != entries:
            raise broken("a zip that ends with its directory", "something behind it")
        found = entries, size, place
        if at >= _LOCATOR.size + _END64.size:
            mark, disk, place64, disks = self._unpacked(_LOCATOR, at - _LOCATOR.size)
            if mark == b"PK\x06\x07":
                at -= _LOCATOR.size + _END64.size
                values = self._unpacked(_END64, at)
                mark, length, _, _, disk64, other, here, entries, size, place = values
                fits = (mark, length, place64) == (b"PK\x06\x06", _END64.size - 12, at)
                if not fits or disk or disk64 or other or disks > 1 or here != entries:
                    raise broken("a zip with one directory", "two that differ")
                sentinels = _NO_16, _NO_32, _NO_32
                pairs = zip(found, (entries, size, place), sentinels, strict=True)
                if any(short not in (long, none) for short, long, none in pairs):
                    raise broken("a zip with one directory", "two that differ")
                found = entries, size, place
        entries, size, place = found
        if place + size != at or size > _DIRECTORY_BYTES or entries * _ENTRY.size > size:
            raise broken("a zip that ends with its directory", "one with a gap")
        return entries, place, at

    def _directory(self, entries: int, place: int, end: int) -> list[Member]:
        data = self._bytes_at(place, end - place)
        listed: dict[str, Member] = {}
        at = 0
        for _ in range(entries):
            if at + _ENTRY.size > len(data):
                raise broken("a whole directory of the zip", "a part")
            values = _ENTRY.unpack_from(data, at)
            mark, _, _, flags, method, _, _, crc, stored, size = values[:10]
            name_bytes, extra_bytes, comment, disk, _, _, header = values[10:]
            at += _ENTRY.size
            name = _name(data[at : at + name_bytes])
            extra = _extra(data[at + name_bytes : at + name_bytes + extra_bytes], name)
            at += name_bytes + extra_bytes
            if mark != b"PK\x01\x02" or comment or disk or extra.keys() - {_ZIP64}:
                raise broken("a plain directory of the zip", name)
            size, stored, header = _long(extra.get(_ZIP64, b""), (size, stored, header), name)
            usual = not flags & ~(_DESCRIPTOR | _UTF8) and method in (_STORED, _DEFLATED)
            if not usual or (method == _STORED and stored != size):
                raise broken("members that are stored or deflated, and not encrypted", name)
            if size > stored * _RATIO:
                raise broken(f"members that give {_RATIO} bytes a byte at most", name)
            if name in listed:
                raise broken("each name once in the zip", name)
            listed[name] = Member(name, header, flags, method, crc, stored, size)
        if at != len(data) or not listed:
            raise broken("a directory of the zip without a rest", len(data) - at)
        members = sorted(listed.values(), key=lambda member: member.place)
        if members[0].place:
            raise broken("a zip that begins with its first member", members[0].place)
        return members

    def _checked_start(self, member: Member, after: int) -> int:
        """The place of a member's content, which must end where the next header begins."""
        values = self._unpacked(_HEADER, member.place)
        mark, _, flags, method, _, _, crc, stored, size, name_bytes, extra_bytes = values
        start = member.place + _HEADER.size + name_bytes + extra_bytes
        if start + member.stored > after:
            raise broken("members that do not overlap", member.name)
        rest = self._bytes_at(member.place + _HEADER.size, name_bytes + extra_bytes)
        name, extra = _name(rest[:name_bytes]), _extra(rest[name_bytes:], member.name)
        later = flags & _DESCRIPTOR and (crc, stored, size) == (0, 0, 0)
        if later and extra.get(_ZIP64) in _repeated(member):
            del extra[_ZIP64]
        size, stored = _long(extra.get(_ZIP64, b""), (size, stored), member.name)
        said = (name, flags, method)
        if mark != b"PK\x03\x04" or said != (member.name, member.flags, member.method):
            raise broken("a header like the entry in the zip's directory", member.name)
        sizes = member.crc, member.stored, member.size
        if extra.keys() - {_ZIP64, _PADDING} or ((crc, stored, size) != sizes and not later):
            raise broken("a header like the entry in the zip's directory", member.name)
        end = start + member.stored
        behind = self._bytes_at(end, min(after - end, 25))
        wanted = [b""]
        if flags & _DESCRIPTOR:
            mark = b"PK\x07\x08"
            fits = max(member.stored, member.size) <= _NO_32
            wanted = [mark + struct.pack("<L2Q", *sizes)]
            wanted += [mark + struct.pack("<3L", *sizes)] if fits else []
        if behind not in wanted:
            raise broken("members without gaps between them", member.name)
        return start

    def _unpacked(self, form: struct.Struct, at: int) -> tuple[Any, ...]:
        data = self._bytes_at(at, form.size)
        if len(data) < form.size:
            raise broken("a whole zip", "a part")
        return form.unpack(data)

    def _bytes_at(self, place: int, size: int) -> bytes:
        self._stream.seek(self._start + place)
        return self._stream.read(max(0, min(size, self._bytes - place)))


def broken(expected: object, got: object) -> ModelRefused:
    """The error for a zip or JSON that is not as torch writes it."""
    return ModelRefused(
        f"Expected a torch.export archive with {expected}, got {quoted(got)}. "
        "Save it again with torch.export.save."
    )


def _name(data: bytes) -> str:
    name = data.decode("ascii", errors="replace")
    if not _NAME.fullmatch(name) or any(set(part) == {"."} for part in name.split("/")):
        raise broken("the records of an exported network", name)
    return name


def _repeated(member: Member) -> list[bytes]:
    """What torch writes behind a header of a file of more than 4 GiB: sizes, the place, or both."""
    place = struct.pack("<Q", member.place)
    # The stored size is not known yet when torch writes the header, and is 0 there.
    sizes = [struct.pack("<2Q", member.size, stored) for stored in (0, member.stored)]
    return [place, *sizes, *(both + place for both in sizes)]


def _extra(data: bytes, name: str) -> dict[int, bytes]:
    """The extra fields by their number."""
    fields: dict[int, bytes] = {}
    while data:
        if len(data) < 4:
            raise broken("whole extra fields in its zip", name)
        number, size = struct.unpack_from("<2H", data)
        if len(data) < 4 + size or number in fields:
            raise broken("whole extra fields in its zip, each once", name)
        fields[number], data = data[4 : 4 + size], data[4 + size :]
    return fields


def _long(extra: bytes, short: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The values of a header, those of 32 bits that are all ones taken from the zip64 field."""
    values = []
    for value in short:
        if value == _NO_32:
            if len(extra) < 8:
                raise broken("whole zip64 fields in its zip", name)
            value, extra = int.from_bytes(extra[:8], "little"), extra[8:]
        values.append(value)
    if extra:
        raise broken("zip64 fields without a rest", name)
    return tuple(values)
