"""Reads JSON strictly: no key twice, no NaN, no number or nesting beyond a bound."""

import json
import math
import re
from collections import Counter
from typing import Any, TypeAlias

from audits.errors import ModelRefused, quoted
from audits.models.pt2.container import broken

Json: TypeAlias = Any
"""None, bool, int, float, str, list or dict, as json gives them."""

LARGEST = 1 << 63
"""Integers are between -LARGEST and LARGEST."""

_DIGITS = 20
_DEPTH = 60
_CONTAINERS = 2_000_000
# A text runs to the end if its quote is missing, so that no byte is looked at twice.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def document(data: bytes) -> Json:
    """The value of a JSON text in UTF-8. Raises ModelRefused."""
    _expect_flat(data)
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise broken("JSON that can be read", str(error)) from error


def _expect_flat(data: bytes) -> None:
    depth, many = 0, 0
    for found in _STRUCTURE.finditer(data):
        mark = found[0]
        opens = mark in (b"[", b"{")
        depth, many = depth + opens, many + opens
        depth -= mark in (b"]", b"}")
        if depth > _DEPTH or many > _CONTAINERS:
            raise broken(f"JSON of at most {_DEPTH} levels and {_CONTAINERS} lists", "more")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise broken("JSON whose keys come once", key)
    return found


def _constant(text: str) -> Json:
    raise broken("JSON with finite numbers", text)


def _integer(text: str) -> int:
    if len(text) > _DIGITS or abs(value := int(text)) > LARGEST:
        raise broken("integers of 64 bits", text[:_DIGITS])
    return value


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise broken("JSON with finite numbers", text[:_DIGITS])
    return value


def refused(expected: str, got: object) -> ModelRefused:
    """The error for content that exported image networks do not have."""
    return ModelRefused(
        f"Expected {expected} in the pt2 archive, got {quoted(got)}. "
        "Export the network anew, or audit it as ONNX."
    )


def mapping(value: Json, expected: str) -> dict[str, Json]:
    """`value` if it is a mapping. Raises ModelRefused."""
    if not isinstance(value, dict):
        raise refused(f"{expected} as a mapping", value)
    return value


def field(value: Json, key: str, expected: str) -> Json:
    """The value of a key that must be there. Raises ModelRefused."""
    found = mapping(value, expected)
    if key not in found:
        raise refused(f"a key {key} of {expected}", list(found)[:5])
    return found[key]


def items(value: Json, expected: str) -> list[Json]:
    """`value` if it is a list. Raises ModelRefused."""
    if not isinstance(value, list):
        raise refused(f"{expected} as a list", value)
    return value


def integer(value: Json, expected: str, least: int = -LARGEST, most: int = LARGEST) -> int:
    """`value` if it is an integer between the two. Raises ModelRefused."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(expected, value)
    return value


def boolean(value: Json, expected: str) -> bool:
    """`value` if it is true or false. Raises ModelRefused."""
    if not isinstance(value, bool):
        raise refused(expected, value)
    return value


def number(value: Json, expected: str) -> float | str:
    """`value` if it is a number, or a text for infinity or NaN as torch writes them."""
    if isinstance(value, str) and value in ("Infinity", "-Infinity", "NaN"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(expected, value)
    return float(value)


def text(value: Json, expected: str) -> str:
    """`value` if it is a text. Raises ModelRefused."""
    if not isinstance(value, str):
        raise refused(expected, value)
    return value


def choice(value: Json, expected: str) -> tuple[str, Json]:
    """The key and the value of a mapping of one key, by which torch writes a choice."""
    found = mapping(value, expected)
    if len(found) != 1:
        raise refused(f"{expected} of one kind", list(found)[:5])
    ((kind, inner),) = found.items()
    return kind, inner
