"""What a network holds is known to be the same, or not, to the last bit."""

import pytest
import torch
from torch import nn

from fillblanks.state import State

DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int64, torch.uint8, torch.complex64),
)


class _Holds(nn.Module):
    def __init__(self, kept):
        super().__init__()
        self.register_buffer("kept", kept)


def _changed(kept, change):
    net = _Holds(kept)
    before = State.of(net)
    change(net.kept.view(torch.uint8))
    return before.changed(State.of(net))


def _one_bit(octets):
    octets[-1] ^= 1


def _two_signs(octets):
    """Of the first and the last element, if the highest bit is that of the last octet."""
    octets[-1] ^= 128
    octets[len(octets) // 2 - 1] ^= 128


def _swapped(octets):
    octets.copy_(octets.flip(0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [2, 65_536, 65_538, 400_000])
@pytest.mark.parametrize("change", [_one_bit, _two_signs, _swapped])
def test_a_change_is_seen_also_if_it_leaves_the_sum_of_all_numbers(dtype, count, change):
    kept = torch.randn(count, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert _changed(kept, change) == "buffer 'kept'"


@pytest.mark.parametrize("count", [0, 1, 65_536, 65_537, 400_000])
def test_the_same_numbers_are_no_change(count):
    assert not _changed(torch.randn(count), lambda octets: octets.copy_(octets.clone()))


def test_numbers_that_move_behind_a_view_with_a_count_of_its_own_are_seen():
    net = _Holds(torch.zeros(2, 40_000, dtype=torch.int64))
    before = State.of(net)
    for row, number in zip(net.kept.split(1), (1, -1), strict=True):
        torch.ops.aten._unsafe_view(row, [40_000]).add_(number)
    assert before.changed(State.of(net)) == "buffer 'kept'"


def test_numbers_that_lie_otherwise_in_memory_are_a_change():
    net = _Holds(torch.zeros(2, 2))
    before = State.of(net)
    net.kept.transpose_(0, 1)
    assert before.changed(State.of(net)) == "buffer 'kept'"


def test_a_number_of_another_dtype_or_shape_is_a_change():
    for kept in (torch.zeros(3, dtype=torch.int32), torch.zeros(3, 1)):
        net = _Holds(torch.zeros(3))
        before = State.of(net)
        net.kept = kept
        assert before.changed(State.of(net)) == "buffer 'kept'"
