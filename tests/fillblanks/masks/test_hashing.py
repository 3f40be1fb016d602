"""The keys of patches are those of a plain splitmix64."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fillblanks import masks

PUBLISHED_SEED = 1234567
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
SEEDS = [0, 1, -1, 2**40 + 3, 2**63 - 1, -(2**63)]


def keys_of(seed: int, count: int, rows: int = 5) -> torch.Tensor:
    return masks.keys(seed, torch.arange(rows), torch.arange(rows) * 3, count)


def test_splitmix64_gives_the_published_outputs(plain):
    assert list(islice(plain.splitmix64(PUBLISHED_SEED), 5)) == PUBLISHED
    states = PUBLISHED_SEED + torch.arange(5) * plain.signed(0x9E3779B97F4A7C15)
    assert masks.splitmix64(states).tolist() == [plain.signed(value) for value in PUBLISHED]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("image", "draw"), [(0, 0), (3, 0), (0, 3), (69_999, 39_999), (2, -1)])
def test_keys_are_those_of_a_plain_splitmix64(plain, seed, image, draw):
    got = masks.keys(seed, torch.tensor([image]), torch.tensor([draw]), 65)
    assert got.tolist() == [plain.keys(seed, image, draw, 65)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_splitmix64_is_the_plain_one_for_any_state(plain, states):
    expected = [plain.signed(next(plain.splitmix64(state))) for state in states]
    assert masks.splitmix64(torch.tensor(states)).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_keys_in_a_row_all_differ(seed):
    for row in keys_of(seed, 10_000, rows=3):
        assert len(row.unique()) == 10_000


def test_seed_image_and_draw_each_change_the_keys():
    one, two = torch.tensor([1]), torch.tensor([2])
    rows = [
        masks.keys(seed, image, draw, 8)
        for seed in (1, 2)
        for image in (one, two)
        for draw in (one, two)
    ]
    assert len(torch.cat(rows).unique()) == 8 * 8


@given(st.permutations(range(24)), st.integers(0, 24))
def test_keys_are_the_same_for_any_split_into_units(order, cut):
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(6))
    whole = masks.keys(11, pairs[:, 0], pairs[:, 1], 9)
    order = torch.tensor(order)
    for unit in (order[:cut], order[cut:]):
        assert torch.equal(masks.keys(11, pairs[unit, 0], pairs[unit, 1], 9), whole[unit])


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 2**70])
def test_a_seed_of_more_than_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match="Expected a seed from -2"):
        keys_of(seed, 9)
