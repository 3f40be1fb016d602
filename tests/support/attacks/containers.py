"""Attacks by the zip: members that one reader finds and another does not, bombs, odd headers."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable

from crafting import PROGRAM, SAMPLES, Crafted

from attacks.attack import Attack

_END = b"PK\x05\x06"
_ENTRY = b"PK\x01\x02"


def _finished(change: Callable[[bytes], bytes]) -> Callable[[Crafted], None]:
    return lambda made: setattr(made, "finished", change)


def _evil_program(made: Crafted) -> bytes:
    made.call["forward_arg_names"] = ["x", f"y={made.code()}"]
    evil = json.dumps(made.program).encode()
    made.call["forward_arg_names"] = ["x"]
    return evil


def _twice_after(made: Crafted) -> None:
    made.entries.append((PROGRAM, _evil_program(made)))


def _twice_before(made: Crafted) -> None:
    # Python's reader takes the last; torch's takes one in the middle of those of a name.
    made.first += [(PROGRAM, _evil_program(made))] * 6


def _other_case(made: Crafted) -> None:
    made.entries.append((PROGRAM.upper(), _evil_program(made)))


def _bomb(made: Crafted) -> None:
    made.compression = zipfile.ZIP_DEFLATED
    made.texts[PROGRAM] = lambda text: text + " " * (50 << 20)


def _zeros(made: Crafted) -> None:
    made.compression = zipfile.ZIP_DEFLATED
    file = made.weights["config"]["head.weight"]["path_name"]
    made.records[f"data/weights/{file}"] = bytes(50 << 20)


def _method(made: Crafted) -> None:
    made.compression = zipfile.ZIP_BZIP2


def _named(name: str) -> Callable[[Crafted], None]:
    return lambda made: made.entries.append((name, b"x"))


def _first(data: bytes) -> int:
    """The place of the directory's first entry. The example is a zip in the zip."""
    (place,) = struct.unpack_from("<L", data, data.rindex(_END) + 16)
    assert data[place : place + 4] == _ENTRY
    return int(place)


def _in_entry(place: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Changes a field of the first entry of the directory."""

    def change(data: bytes) -> bytes:
        at = _first(data) + place
        return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]

    return change


def _in_header(place: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Changes a field of the first member's header."""

    def change(data: bytes) -> bytes:
        return data[:place] + struct.pack(form, value) + data[place + struct.calcsize(form) :]

    return change


def _local_name(data: bytes) -> bytes:
    return data[:36] + b"X" + data[37:]


def _moved(data: bytes, by: int, start: int) -> bytes:
    """Corrects the directory for bytes that were put in before it."""
    end = data.rindex(_END)
    size, place = struct.unpack_from("<2L", data, end + 12)
    at = place + by
    while at < place + by + size:
        names = sum(struct.unpack_from("<3H", data, at + 28))
        (header,) = struct.unpack_from("<L", data, at + 42)
        if header >= start:
            data = data[: at + 42] + struct.pack("<L", header + by) + data[at + 46 :]
        at += 46 + names
    return data[: end + 16] + struct.pack("<L", place + by) + data[end + 20 :]


def _prefix(data: bytes) -> bytes:
    return _moved(b"#!/bin/sh\n" + data, 10, 0)


def _gap(data: bytes) -> bytes:
    (name, extra) = struct.unpack_from("<2H", data, 26)
    (size,) = struct.unpack_from("<L", data, 18)
    second = 30 + name + extra + size
    return _moved(data[:second] + b"hidden!!" + data[second:], 8, second)


def _second_directory(data: bytes) -> bytes:
    end = data.rindex(_END)
    size, place = struct.unpack_from("<2L", data, end + 12)
    return data[:end] + data[place : place + size] + data[end:]


def _overlap(data: bytes) -> bytes:
    first = _first(data)
    second = data.index(_ENTRY, first + 4)
    return data[: second + 42] + data[first + 42 : first + 46] + data[second + 46 :]


def _descriptor(data: bytes) -> bytes:
    at = _first(data)
    return data[:6] + b"\x08\0" + data[8 : at + 8] + b"\x08\0" + data[at + 10 :]


def _damaged(data: bytes) -> bytes:
    at = data.index(b"data/weights/weight_0") + 40
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _locator(data: bytes) -> bytes:
    end = data.rindex(_END)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 46, 0)
    return data[:end] + large + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + data[end:]


def _many(made: Crafted) -> None:
    made.finished = _in_end(10, "<H", 60_000)


def _in_end(place: int, form: str, value: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = data.rindex(_END) + place
        return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]

    return change


def _empty_archive(data: bytes) -> bytes:
    return _END + bytes(18)


def _deflated_rest(made: Crafted) -> None:
    made.records[SAMPLES] = zlib.compress(b"x")


CONTAINERS = [
    Attack("the program twice, the good one first", _twice_after),
    Attack("the program several times, the good one last", _twice_before, live=True),
    Attack("the program under letters of another case", _other_case),
    Attack("a prefix", _finished(_prefix)),
    Attack("bytes behind the end", _finished(lambda data: data + b"x")),
    Attack("a comment", _finished(lambda data: data[:-2] + b"\1\0x")),
    Attack("another archive in front", _finished(lambda data: data + data)),
    Attack("a gap between two members", _finished(_gap)),
    Attack("a second directory", _finished(_second_directory)),
    Attack("a header of another name", _finished(_local_name)),
    Attack("a header of another size", _finished(_in_header(22, "<L", 5))),
    Attack("an encrypted member", _finished(_in_entry(8, "<H", 1))),
    Attack("an unusual compression", _method),
    Attack("a program that inflates", _bomb),
    Attack("a weight that inflates", _zeros),
    Attack("members that overlap", _finished(_overlap)),
    Attack("a descriptor that is missing", _finished(_descriptor)),
    Attack("a damaged weight", _finished(_damaged)),
    Attack("a locator of another directory", _finished(_locator)),
    Attack("more members than there are", _many),
    Attack("a size of 4 GB", _finished(_in_entry(24, "<L", 0xFFFFFFFF))),
    Attack("a disk of another number", _finished(_in_entry(34, "<H", 1))),
    Attack("a member outside of its folder", _named("../../x")),
    Attack("a member of code", _named("code/x.py")),
    Attack("a member with a backslash", _named("models\\x.json")),
    Attack("a folder as a member", _named("models/")),
    Attack("an example that is no zip", _deflated_rest),
    Attack("an empty zip", _finished(_empty_archive)),
    Attack("no bytes", _finished(lambda data: b"")),
    Attack("half an archive", _finished(lambda data: data[: len(data) // 2])),
]
