"""Memory that is too short for a plan: one line that says so, and how to need less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fillblanks.engine.plan import Plan
from fillblanks.memory import OutOfMemory, is_short


@contextmanager
def memory_told(plan: Plan, shape: torch.Size) -> Iterator[None]:
    """Turns any kind of "out of memory" inside into OutOfMemory, with the size of a pass.

    `shape` is (N, C, H, W) of the images; N does not matter.
    """
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
