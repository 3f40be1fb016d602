"""The process that holds the model answers one call after the other."""

import pickle
import resource
import socket
import struct
import traceback
from collections.abc import Callable
from typing import Any

from audits.execution import wire
from audits.execution.answers import REFUSALS

_GIB = 1 << 30
QUESTION = struct.Struct("<Q")  # the bytes of a pickled function and its arguments


def serve(channel: socket.socket, memory_gib: float | None, failure: Exception | None) -> None:
    """Limits the memory, says that the process is ready, and answers calls until the end.

    If the process has a `failure`, that is told instead.
    """
    if failure is not None:
        channel.sendall(wire.to_bytes({"raised": _told(failure)}))
        return
    channel.sendall(_answer(_limit_memory, (memory_gib,)))
    while (head := _received(channel, QUESTION.size)) is not None:
        question = _received(channel, QUESTION.unpack(head)[0])
        if question is None:
            return
        channel.sendall(_answer(_asked, (question,)))


def _limit_memory(memory_gib: float | None) -> None:
    if memory_gib is not None:
        # Data, not address space: CUDA reserves far more addresses than it uses.
        limit = int(memory_gib * _GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _asked(question: bytes) -> Any:
    function, args = pickle.loads(question)
    return function(*args)


def _answer(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return wire.to_bytes({"answer": function(*args)})
    except Exception as error:
        # The one place that catches all: whatever a model raises becomes a failure over there.
        return wire.to_bytes({"raised": _told(error)})


def _told(error: Exception) -> dict[str, Any]:
    kind = next((name for name, kind in REFUSALS.items() if isinstance(error, kind)), None)
    name, text = type(error).__name__, str(error).strip() or "no message"
    return {
        "kind": kind,
        "lines": [_text(str(line)) for line in error.args] if kind else [],
        "reason": _text(f"{name}: {text.splitlines()[0]}"),
        "detail": _text("".join(traceback.format_exception(error))),
        "memory": isinstance(error, MemoryError) or "allocate memory" in text,
    }


def _text(value: str) -> str:
    """Text that JSON can carry: file names may hold halves of characters."""
    return value.encode(errors="replace").decode()


def _received(channel: socket.socket, count: int) -> bytes | None:
    """The next `count` bytes, or None if the other end was closed."""
    found = bytearray()
    while len(found) < count:
        more = channel.recv(min(count - len(found), 1 << 20))
        if not more:
            return None
        found += more
    return bytes(found)
