"""Memory that is too short: how it is recognised, and the one line that says so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fillblanks.plan import Plan

# How torch and the libraries below it say it, where it is no type of error.
_SHORT = ("allocate memory", "out of memory", "bad_alloc", "bad allocation")


class OutOfMemory(RuntimeError):
    """A plan needs more memory than there is; a smaller chunk may do."""


def is_short(error: BaseException) -> bool:
    """Whether the error says that memory is too short."""
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory)
    return typed or any(words in str(error) for words in _SHORT)


@contextmanager
def memory_told(plan: Plan, shape: torch.Size) -> Iterator[None]:
    """Turns any kind of "out of memory" inside into OutOfMemory, which names what to turn down."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemory) or not is_short(error):
            raise
        sides = " x ".join(str(side) for side in (plan.chunk, *shape[1:]))
        values = plan.chunk * shape[1:].numel()
        cure = (
            "Take smaller images or a smaller network, or give it more memory."
            if plan.halved() == plan
            else "Take a smaller chunk or block."
        )
        block = f", in blocks of {plan.block} masks" if plan.block > plan.chunk else ""
        raise OutOfMemory(
            f"Expected memory for a pass over chunk x channels x height x width = {sides} = "
            f"{values:,} values{block}, there was too little. {cure}"
        ) from error
