"""Tensors whose numbers share memory, as expand and unfold give them, and who may read them.

Some kernels go through memory as if each number had its own: the median of one number that was
expanded is that of the numbers behind it, and attention leaves parts of its answer unset. What lies
there differs from process to process. So only operators that were tried get such tensors.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor

# Operators that go by strides, or copy first; those that torch calls pointwise, and views, do too.
# tests/audits/models/test_overlaps.py tries each with shared memory.
_READERS = frozenset(
    resources.files("audits.models.pt2").joinpath("overlap_readers.txt").read_text().split()
)
# They look at sizes and types alone, or at one number.
_OF_SIZES = {
    *("_assert_async", "_assert_tensor_metadata", "_local_scalar_dense", "item"),
    *("empty_like", "full_like", "ones_like", "rand_like", "randn_like", "zeros_like"),
    *("new_empty", "new_full", "new_ones", "new_zeros", "sym_numel", "sym_size"),
}
# Heads may share a mask.
_ATTENTION = {
    *("scaled_dot_product_attention", "_scaled_dot_product_efficient_attention"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
}


@cache
def named_apart(target: torch._ops.OpOverload) -> tuple[str, ...]:
    """The arguments of an operator of aten that must not share memory."""
    arguments, returned = target._schema.arguments, target._schema.returns
    if torch.Tag.pointwise in target.tags:  # torch looks itself at those that it writes into
        return ()
    name = target._schema.name.removeprefix("aten::")
    if name in _ATTENTION:
        return ("query", "key", "value")
    view = any(one.alias_info is not None and not one.alias_info.is_write for one in returned)
    reads = view or not (_READERS | _OF_SIZES).isdisjoint((name, name.removesuffix("_")))
    return tuple(one.name for one in arguments if one.is_write or not reads)


def shared_by(target: torch._ops.OpOverload, given: Mapping[str, Any]) -> str:
    """The first argument, of those `given` by name, that shares memory and must not; "" if none."""
    return next((name for name in named_apart(target) if overlap(given.get(name))), "")


def overlap(given: Any) -> bool:
    """Whether two numbers of a tensor, or of one in a list, share memory."""
    return any(map(_overlaps, _tensors(given)))


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, (list, tuple)):
        for one in given:
            yield from _tensors(one)


def _overlaps(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or not tensor.numel():
        return False
    sides = zip(tensor.stride(), tensor.shape, strict=True)
    room = 1
    for stride, side in sorted(one for one in sides if one[1] > 1):
        if stride < room:
            return True
        room = stride * (side - 1) + room
    return False
