"""The null of a fill moves the values of each region to other places in the region."""

import pytest
import torch

from fillblanks import fill_regions, shuffled

INDICES = torch.tensor([4, 0, 9])


@pytest.fixture
def values(pictures):
    return pictures(3, 3)


@pytest.fixture
def regions(values):
    return fill_regions(values, groups=4, patch_size=4, seed=1, indices=INDICES)


def rows(pixels):
    """Pixels (C, n) as a sorted list of colours: a multiset."""
    return sorted(map(tuple, pixels.T.tolist()))


@pytest.mark.parametrize("as_bool", [False, True], ids=["regions", "blanks"])
def test_each_region_keeps_its_colours_as_a_multiset(values, regions, as_bool):
    if as_bool:
        regions = regions == 0
    moved = shuffled(values, regions, seed=3, indices=INDICES)
    for before, after, region in zip(values, moved, regions[:, 0], strict=True):
        for number in region.unique():
            assert rows(after[:, region == number]) == rows(before[:, region == number])
            assert not torch.equal(after[:, region == number], before[:, region == number])


def test_one_region_is_put_in_the_order_of_plain_keys_apart_from_those_of_masks(values, plain):
    moved = shuffled(values, torch.zeros(3, 1, 29, 31).bool(), seed=3, indices=INDICES)
    for before, after, index in zip(values, moved, INDICES.tolist(), strict=True):
        keys = plain.keys(3, index, -1, 29 * 31)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        assert torch.equal(after.flatten(1), before.flatten(1)[:, order])


def test_values_elsewhere_do_not_change_what_happens_in_a_region(values, regions):
    inside = (regions == 2).expand_as(values)
    other = torch.where(inside, values, torch.nan)
    once = shuffled(values, regions, seed=3, indices=INDICES)
    again = shuffled(other, regions, seed=3, indices=INDICES)
    assert torch.equal(once[inside], again[inside])


def test_a_region_of_one_pixel_stays(values):
    regions = torch.zeros(3, 1, 29, 31, dtype=torch.int64)
    regions[:, :, 5, 6] = 7
    moved = shuffled(values, regions, seed=3, indices=INDICES)
    assert torch.equal(moved[..., 5, 6], values[..., 5, 6])


def test_the_same_seed_and_indices_give_the_same_places(values, regions):
    once = shuffled(values, regions, seed=3, indices=INDICES)
    assert torch.equal(shuffled(values, regions, seed=3, indices=INDICES), once)
    for i in range(3):
        one = slice(i, i + 1)
        alone = shuffled(values[one], regions[one], seed=3, indices=INDICES[one])
        assert torch.equal(alone, once[one])


@pytest.mark.parametrize("change", [{"seed": 4}, {"indices": torch.tensor([5, 1, 10])}])
def test_another_seed_or_index_gives_other_places(values, regions, change):
    arguments = {"seed": 3, "indices": INDICES}
    once = shuffled(values, regions, **arguments)
    other = shuffled(values, regions, **(arguments | change))
    assert all(not torch.equal(a, b) for a, b in zip(once, other, strict=True))


def test_a_value_lands_everywhere_in_its_region_equally_often():
    count = 6000
    values = torch.zeros(count, 1, 2, 3)
    values[:, :, 0, 0] = 1
    region = torch.tensor([[0, 1, 0], [1, 0, 0]]).expand(count, 1, 2, 3)
    landed = shuffled(values, region, seed=0, indices=torch.arange(count)).double().mean(0)
    expected = torch.where(region[0] == 0, 0.25, 0).double()
    # Five standard deviations of a share of 1/4.
    torch.testing.assert_close(landed, expected, rtol=0, atol=5 * (0.1875 / count) ** 0.5)
