"""Memory that is too short: the error, and how it is recognised."""

from collections.abc import Callable
from typing import TypeVar

import torch

_T = TypeVar("_T")
# The words of torch and of the libraries below it, for errors that have no type of their own.
_SHORT = (
    *("allocate memory", "out of memory", "bad_alloc", "bad allocation"),
    "Resource temporarily unavailable",  # of a thread without room for its stack
)
_NO_ROOM_FOR_CODE = "could not create a primitive"  # all that oneDNN says if a kernel finds no room


class OutOfMemory(RuntimeError):
    """A plan needs more memory than there is; a smaller chunk may do."""


def is_short(error: BaseException) -> bool:
    """Whether the error says that memory is too short.

    No ValueError does: it may tell names that a model's files have.
    """
    if isinstance(error, ValueError):
        return False
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory)
    told = str(error)
    return typed or told == _NO_ROOM_FOR_CODE or any(words in told for words in _SHORT)


def with_fewer_rows(run: Callable[[int], _T], rows: int) -> _T:
    """`run(rows)`, the rows of a pass, again with half of them as long as memory is too short.

    Raises whatever `run` raises, and the error of a memory that is too short for one row.
    """
    while True:
        try:
            return run(rows)
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not is_short(error):
                raise
        rows //= 2
