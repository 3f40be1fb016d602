"""The answers of the process that holds the model, as JSON and arrays: nothing of it is unpickled.

That process may run any code, so whatever comes from it is read as data, of bounded size, and
refused if it is of another shape. Questions go the other way and are pickled, since they come from
the auditor.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

MOST_BYTES = 1 << 30  # of an answer
_MOST_WORDS = 64 << 20  # bytes of its JSON
_MOST_VALUES = 2_000_000  # in its JSON: an empty object of two bytes takes a hundred in memory
_MOST_DIMENSIONS = 8
LONGEST_TEXT = 2_000  # characters
_MOST_TEXT = 1_000_000  # of all texts of an answer
_KINDS = "biufU"  # of numpy's dtypes: no objects, no records, no dates
_LAST_CHARACTER = 0x10FFFF
_ARRAY = "\0array"  # the key of an object that stands for an array
_LENGTH = struct.Struct("<QQ")  # bytes of the JSON, and of all that follows
HEAD = _LENGTH.size  # bytes before the JSON


class NotAnAnswer(ValueError):
    """The bytes are not an answer; the message is about their form alone."""


class Lengths(NamedTuple):
    """The bytes of an answer behind its head."""

    words: int
    arrays: int


def to_bytes(value: Any) -> bytes:
    """An answer: plain values, lists, dicts with text as keys, arrays, dataclasses, enumerations.

    Tuples become lists, and dataclasses dicts. Raises TypeError for anything else, and for arrays
    of objects.
    """
    arrays: list[np.ndarray] = []
    tree = _plain(value, arrays)
    described = [[array.dtype.str, list(array.shape)] for array in arrays]
    words = json.dumps([tree, described]).encode()
    data = b"".join([array.tobytes() for array in arrays])
    return _LENGTH.pack(len(words), len(data)) + words + data


def lengths(head: bytes | bytearray) -> Lengths:
    """What follows the head. Raises NotAnAnswer if that is too much."""
    words, arrays = _LENGTH.unpack(head)
    if words > _MOST_WORDS or words + arrays > MOST_BYTES:
        raise NotAnAnswer(f"{words + arrays:,} bytes instead of {MOST_BYTES:,} at most")
    return Lengths(words, arrays)


def from_bytes(words: bytes | bytearray, arrays: bytearray) -> Any:
    """The plain values and arrays that `to_bytes` was given. Raises NotAnAnswer."""
    if sum(words.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise NotAnAnswer(f"more than {_MOST_VALUES:,} values")
    try:
        tree, described = json.loads(words)
        found = list(_arrays(described, arrays))
        return _with_arrays(tree, found)
    except NotAnAnswer:
        raise
    except (ValueError, TypeError, RecursionError, LookupError, OverflowError) as error:
        raise NotAnAnswer(f"{type(error).__name__} in it") from error


def has_plain_text(value: Any) -> bool:
    """Whether all text in plain values can be printed, in 2,000 characters at most each.

    Keys are text too. Arrays are left to their check.
    """
    left, characters = [value], 0
    while left:
        one = left.pop()
        if isinstance(one, str):
            characters += len(one)
            if len(one) > LONGEST_TEXT or characters > _MOST_TEXT or not one.isprintable():
                return False
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            left += one
    return True


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"Expected an array of numbers or text, got {value.dtype}.")
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays)
    if is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _ARRAY:
                raise TypeError(f"Expected text as a key, got {key!r}.")
        return {key: _plain(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, arrays) for inner in value]
    raise TypeError(f"Expected plain values and arrays, got {type(value).__name__}.")


def _arrays(described: Any, data: bytearray) -> Iterator[np.ndarray]:
    """The arrays one behind the other; each is a view of `data`."""
    if not isinstance(described, list):
        raise NotAnAnswer("no list of arrays")
    at = 0
    for kind, shape in described:
        dtype = _dtype(kind)
        if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
            raise NotAnAnswer("an array without a shape")
        if any(type(side) is not int or not 0 <= side <= MOST_BYTES for side in shape):
            raise NotAnAnswer("an array with an impossible shape")
        count = math.prod(shape)
        if at + count * dtype.itemsize > len(data):
            raise NotAnAnswer("an array that is larger than its bytes")
        yield _proper(np.frombuffer(data, dtype, count, at).reshape(shape))
        at += count * dtype.itemsize
    if at != len(data):
        raise NotAnAnswer("bytes that belong to no array")


def _dtype(kind: Any) -> np.dtype:
    if not isinstance(kind, str) or len(kind) > 12:
        raise NotAnAnswer("an array without a dtype")
    dtype = np.dtype(kind)
    if dtype.kind not in _KINDS or dtype.itemsize == 0 or dtype.subdtype or not dtype.isnative:
        raise NotAnAnswer(f"an array of {dtype}")
    return dtype


def _proper(array: np.ndarray) -> np.ndarray:
    """The array. Raises NotAnAnswer for bytes that are no value of its dtype."""
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise NotAnAnswer("a truth value that is neither 0 nor 1")
    if array.dtype.kind == "U":
        codes = array.reshape(-1).view(np.uint32)
        if ((codes > _LAST_CHARACTER) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise NotAnAnswer("text that is not Unicode")
    return array


def _with_arrays(tree: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_with_arrays(inner, arrays) for inner in tree]
    if not isinstance(tree, dict):
        return tree
    if _ARRAY not in tree:
        return {key: _with_arrays(inner, arrays) for key, inner in tree.items()}
    number = tree[_ARRAY]
    if len(tree) > 1 or type(number) is not int or not 0 <= number < len(arrays):
        raise NotAnAnswer("an array that is not there")
    return arrays[number]
