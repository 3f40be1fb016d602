"""Masks blank the patches with the smallest keys, and groups cover each patch once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fillblanks import fill_regions, masks

SIZES = [(28, 28, 2), (29, 31, 4), (29, 31, 3), (5, 1, 1), (7, 16, 5)]

sizes = st.integers(2, 40)
patch_sizes = st.integers(1, 7)


def keys_of(seed: int, count: int, rows: int = 5) -> torch.Tensor:
    return masks.keys(seed, torch.arange(rows), torch.arange(rows) * 3, count)


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_masks_are_the_same_for_any_chunk(chunk):
    images, draws = torch.arange(10).repeat_interleave(30), torch.arange(30).repeat(10)
    whole = masks.blank_patches(masks.keys(3, images, draws, 49), 12)
    parts = [
        masks.blank_patches(masks.keys(3, *part, 49), 12)
        for part in zip(images.split(chunk), draws.split(chunk), strict=True)
    ]
    assert torch.equal(torch.cat(parts), whole)


@given(st.floats(0.01, 0.99), sizes, sizes, patch_sizes, st.integers(-(2**63), 2**63 - 1))
def test_exactly_the_rounded_share_of_patches_is_blank(ratio, height, width, patch_size, seed):
    rows, columns = masks.grid_shape(height, width, patch_size)
    patches = rows * columns
    expected = round(ratio * patches)
    if not 0 < expected < patches:
        with pytest.raises(
            ValueError, match=r"Expected (a mask_ratio that blanks|at least 2 patches)"
        ):
            masks.blank_count(ratio, patches)
        return
    count = masks.blank_count(ratio, patches)
    blank = masks.blank_patches(keys_of(seed, patches), count)
    assert blank.sum(1).tolist() == [expected] * 5
    pixels = masks.to_pixels(blank, height, width, patch_size)
    corners = pixels[:, 0, ::patch_size, ::patch_size]
    assert torch.equal(corners.flatten(1), blank)


@given(sizes, sizes, patch_sizes, st.data())
def test_disjoint_groups_cover_each_pixel_exactly_once(height, width, patch_size, data):
    rows, columns = masks.grid_shape(height, width, patch_size)
    patches = rows * columns
    if patches < 2:
        return
    groups = data.draw(st.integers(2, min(patches, 12)))
    grouped = masks.fill_groups(keys_of(data.draw(st.integers(0, 99)), patches), groups)
    layers = torch.stack([grouped == i for i in range(groups)])
    assert (masks.to_pixels(layers.sum(0), height, width, patch_size) == 1).all()
    patches_of_a_group = layers.sum(2)
    assert patches_of_a_group.min() == patches // groups
    assert patches_of_a_group.max() == -(-patches // groups)


@pytest.mark.parametrize(("height", "width", "patch_size"), SIZES)
def test_regions_are_those_of_sorting_plain_keys(plain, height, width, patch_size):
    indices = torch.tensor([4, 0])
    regions = fill_regions(
        torch.zeros(2, 3, height, width), groups=4, patch_size=patch_size, seed=9, indices=indices
    )
    for index, region in zip(indices.tolist(), regions[:, 0], strict=True):
        assert torch.equal(region, plain.regions(9, index, (height, width), patch_size, 4))


def test_the_patches_with_the_smallest_keys_are_blank_and_come_first():
    patch_keys = torch.tensor([[5, -7, 0, 9]])
    assert masks.blank_patches(patch_keys, 2).tolist() == [[False, True, True, False]]
    assert masks.fill_groups(patch_keys, 2).tolist() == [[1, 0, 0, 1]]


def test_every_patch_is_blank_about_as_often_as_mask_ratio_says():
    draws = torch.arange(4000)
    blank = masks.blank_patches(masks.keys(0, torch.zeros_like(draws), draws, 16), 4)
    # Five standard deviations of a share of 1/4 over 4000 draws.
    assert (blank.double().mean(0) - 0.25).abs().max() < 5 * (0.25 * 0.75 / 4000) ** 0.5


@pytest.mark.parametrize("ratio", [-0.5, 0, 0.004, 0.996, 1, 2])
def test_a_mask_ratio_that_leaves_nothing_to_mask_or_to_see_is_refused(ratio):
    expected = rf"blanks 1 to 99 of 100 patches, got {ratio}, which blanks {round(ratio * 100)}\."
    with pytest.raises(ValueError, match=expected):
        masks.blank_count(ratio, 100)


@pytest.mark.parametrize("groups", [-1, 0, 1, 10])
def test_a_number_of_groups_that_cannot_part_the_patches_is_refused(groups):
    with pytest.raises(ValueError, match=f"Expected 2 to 9 groups for 9 patches, got {groups}"):
        masks.fill_groups(keys_of(0, 9), groups)
