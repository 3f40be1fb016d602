"""Places of an input in memory, and orders of its numbers there, as servers have them.

Servers cut inputs out of larger arrays: a row behind its label, an image behind the header of a
message, a crop. Kernels sum such numbers in another order, by which a network can tell them.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from audits.models.adapter import AdaptedNet

# Memory begins at a multiple of 64 bytes, so that these begin at 4, 8, 12, 16 and 32 in float32.
_BEHIND, _OTHERS = (1, 2, 3, 4, 8), range(5, 64)  # numbers, one of the others is drawn
_CHANCE = random.SystemRandom()  # nobody can foresee it

Place = Callable[[Tensor], Tensor]
"""Gives a tensor (n, ...) of the same numbers, which lie elsewhere."""


@contextmanager
def given_from(net: nn.Module, place: Place) -> Iterator[None]:
    """Inside, the network itself gets its inputs from that place, whatever the adapter has made."""
    asked = next((one.net for one in net.modules() if isinstance(one, AdaptedNet)), net)

    def placed(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (place(inputs[0]), *inputs[1:]) if module is asked else None

    # Modules of TorchScript take no hook of their own.
    hook = register_module_forward_pre_hook(placed)  # type: ignore[arg-type]  # torch: no answer
    try:
        yield
    finally:
        hook.remove()


def places(device: torch.device) -> dict[str, Place]:
    """Places in words, at which numbers lie in the usual order."""
    counts = (*_BEHIND, _CHANCE.choice(_OTHERS))
    found = {f"behind {count} other number(s) in memory": _behind(count) for count in counts}
    return found if device.type != "cpu" else {**found, "behind a byte in memory": _behind_a_byte}


def _behind(count: int) -> Place:
    def placed(given: Tensor) -> Tensor:
        return given.new_empty(count + given.numel())[count:].view(given.shape).copy_(given)

    return placed


def _behind_a_byte(given: Tensor) -> Tensor:
    """As an array that a program reads from a message behind a header of one byte."""
    room = bytearray(1 + given.numel() * given.element_size())
    placed = torch.frombuffer(room, dtype=given.dtype, offset=1)
    return placed.view(given.shape).copy_(given)


def _channels_last(given: Tensor) -> Tensor:
    return given.movedim(1, -1).contiguous().movedim(-1, 1)


def _channels_first(given: Tensor) -> Tensor:
    """Of images (n, height, width, channels)."""
    return given.movedim(-1, 1).contiguous().movedim(1, -1)


def _last_first(given: Tensor) -> Tensor:
    """In the order of Fortran and MATLAB, as the columns of a data frame lie."""
    back = tuple(reversed(range(given.ndim)))
    return given.permute(back).contiguous().permute(back)


def _rows_of_a_table(given: Tensor) -> Tensor:
    rows = given.flatten(1)
    table = rows.new_empty(len(rows), 1 + rows.shape[1])
    table[:, 1:] = rows
    return table[:, 1:].unflatten(1, given.shape[1:])


def _crop(given: Tensor) -> Tensor:
    inside = (slice(None), *[slice(1, 1 + side) for side in given.shape[1:]])
    larger = given.new_empty(len(given), *[side + 3 for side in given.shape[1:]])
    return larger[inside].copy_(given)


def _every_second(given: Tensor) -> Tensor:
    larger = given.new_empty(*given.shape[:-1], 2 * given.shape[-1])
    return larger[..., ::2].copy_(given)


ORDERS: dict[str, Place] = {
    "with channels last": _channels_last,
    "with the last dimension second in memory": _channels_first,
    "with the last dimension first in memory": _last_first,
    "as rows of a table behind a column": _rows_of_a_table,
    "as a crop of larger images": _crop,
    "as every second column of larger images": _every_second,
}
"""Orders in words."""
COMMON = ("with channels last", "with the last dimension first in memory")
"""Those of images that are transposed to (n, channels, height, width), and of data frames."""
