"""Answers of the process of a model are read as data, or refused, whatever their bytes are."""

import contextlib
import json
import struct
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audits.execution import answers, wire
from audits.execution.wire import NotAnAnswer


def _read(message):
    head, rest = message[: wire.HEAD], message[wire.HEAD :]
    words, data = wire.lengths(head)
    assert words + data == len(rest)
    return wire.from_bytes(rest[:words], bytearray(rest[words:]))


def _message(tree, described=(), data=b""):
    words = json.dumps([tree, list(described)]).encode()
    return struct.pack("<QQ", len(words), len(data)) + words + data


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    rest: tuple[float, ...]


_DTYPES = st.one_of(
    arrays.integer_dtypes(endianness="="),
    arrays.unsigned_integer_dtypes(endianness="="),
    arrays.floating_dtypes(endianness="="),
    arrays.boolean_dtypes(),
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_values_come_back(value):
    assert _read(wire.to_bytes(value)) == value


@given(st.lists(_DTYPES.flatmap(lambda d: arrays.arrays(d, arrays.array_shapes(min_dims=0)))))
def test_arrays_come_back(given_arrays):
    found = _read(wire.to_bytes({"all": given_arrays}))["all"]
    for array, came in zip(given_arrays, found, strict=True):
        assert came.dtype == array.dtype
        np.testing.assert_array_equal(came, array)
        assert came.flags.writeable or came.size == 0


def test_what_is_not_plain_becomes_plain():
    value = {"a": Point(3, (1.0, 2.0)), "b": Colour.RED, "c": (np.float32(0.5), np.array("ü"))}
    found = _read(wire.to_bytes(value))
    assert found["c"].pop() == "ü"
    assert found == {"a": {"x": 3, "rest": [1.0, 2.0]}, "b": "red", "c": [0.5]}
    assert _read(wire.to_bytes(np.zeros((3, 0)))).shape == (3, 0)
    turned = np.arange(6).reshape(2, 3).T
    np.testing.assert_array_equal(_read(wire.to_bytes(turned)), turned)


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, {"\0array": 0}, np.array([object()]), np.array("2026", "M8[Y]"), b"bytes"],
)
def test_nothing_else_is_sent(value):
    with pytest.raises(TypeError, match="Expected"):
        wire.to_bytes(value)


_ONE = {"\0array": 0}
HOSTILE = {
    "no list": b"[1]",
    "no json": b"\x80\x04pickle",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "half a character": b'["\xff", []]',
    "a large number": b"[" + b"9" * 5000 + b", []]",
}
HOSTILE_ARRAYS = {
    "objects": ("|O", [1], 8),
    "a record": ("i4,i4", [1], 8),
    "a date": ("<M8[s]", [1], 8),
    "bytes": ("|S4", [2], 8),
    "void": ("|V8", [1], 8),
    "the other byte order": (">i4", [2], 8),
    "a subarray": ("(2,)i4", [1], 8),
    "no dtype": ("nonsense", [1], 8),
    "no text": (5, [1], 8),
    "text of no length": ("<U0", [10**9], 0),
    "more than its bytes": ("<i8", [2], 8),
    "less than its bytes": ("<i8", [1], 16),
    "an absurd shape": ("<i8", [2**62, 2**62, 0], 0),
    "an absurd empty shape": ("<i8", [2**40, 0], 0),
    "a negative side": ("<i8", [-1], 8),
    "a side that is no number": ("<i8", [1.0], 8),
    "a side that is true": ("<i8", [True], 8),
    "many dimensions": ("<i8", [1] * 40, 8),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_words_that_are_no_answer_are_refused(name):
    with pytest.raises(NotAnAnswer):
        wire.from_bytes(HOSTILE[name], bytearray())


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_arrays_that_are_none_are_refused(name):
    dtype, shape, size = HOSTILE_ARRAYS[name]
    with pytest.raises(NotAnAnswer):
        _read(_message(_ONE, [[dtype, shape]], bytes(size)))


@pytest.mark.parametrize("number", [1, -1, "0", True, None, [0]])
def test_an_array_that_is_not_there_is_refused(number):
    with pytest.raises(NotAnAnswer):
        _read(_message({"\0array": number}, [["<i8", [1]]], bytes(8)))


@pytest.mark.parametrize(
    ("dtype", "data"),
    [("|b1", b"\x02"), ("<U1", b"\xff\xff\xff\x7f"), ("<U1", b"\x00\xd8\x00\x00")],
)
def test_bytes_that_are_no_value_of_their_dtype_are_refused(dtype, data):
    with pytest.raises(NotAnAnswer):
        _read(_message(_ONE, [[dtype, [1]]], data))


@pytest.mark.parametrize("lengths", [(1 << 60, 0), (0, 1 << 60), (1 << 27, 0), (2**64 - 1, 1)])
def test_too_long_an_answer_is_refused_before_it_is_read(lengths):
    with pytest.raises(NotAnAnswer, match="at most"):
        wire.lengths(struct.pack("<QQ", *lengths))


@settings(max_examples=100)
@given(st.binary(), st.binary())
def test_any_bytes_are_an_answer_or_refused(words, data):
    with contextlib.suppress(NotAnAnswer):
        wire.from_bytes(words, bytearray(data))


@settings(max_examples=100)
@given(st.data())
def test_a_changed_answer_is_an_answer_or_refused(data):
    message = wire.to_bytes({"part": {"a": np.arange(3), "b": np.array(["x", "yz"])}})
    at = data.draw(st.integers(wire.HEAD, len(message) - 1))
    changed = message[:at] + bytes([data.draw(st.integers(0, 255))]) + message[at + 1 :]
    with contextlib.suppress(NotAnAnswer):
        _read(changed)


RAISED = {"kind": None, "lines": [], "reason": "a", "detail": "b", "memory": False}


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {},
        {"answer": 1, "raised": RAISED},
        {"raised": {**RAISED, "more": 1}},
        {"raised": {**RAISED, "memory": 1}},
        {"raised": {**RAISED, "lines": [1]}},
        {"raised": {name: RAISED[name] for name in ("kind", "reason")}},
        {"raised": {**RAISED, "reason": np.arange(3)}},
    ],
)
def test_neither_an_answer_nor_an_error_is_refused(tree):
    with pytest.raises(NotAnAnswer):
        answers.read(tree)


def test_an_error_is_short_and_cannot_steer_a_terminal():
    text = "\x1b[2J\x07passed\r" + "x" * 100_000
    told = {**RAISED, "reason": text + "\nmore", "detail": f"one\n{text}", "kind": "AuditError"}
    found = answers.read({"raised": {**told, "lines": [text]}})
    assert len(found.reason) <= 400
    assert len(found.detail) <= 20_000
    for shown in (found.reason, str(found.refusal), *found.detail.splitlines()):
        assert shown.isprintable()
    assert len(str(found.refusal)) <= 400
    assert answers.read({"raised": {**told, "kind": "SystemExit"}}).refusal is None


def test_an_answer_of_millions_of_small_values_is_refused():
    words = b"[[" + b"{}," * 2_000_000 + b"{}],[]]"
    with pytest.raises(NotAnAnswer, match="more than 2,000,000 values"):
        wire.from_bytes(words, bytearray())
