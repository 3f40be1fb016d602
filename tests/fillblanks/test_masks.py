"""Masks: counts, partitions, polarity, and keys against a plain splitmix64."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fillblanks import Classifier, expected_fill, fill_regions, masks

PUBLISHED_SEED = 1234567
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
SIZES = [(28, 28, 2), (29, 31, 4), (29, 31, 3), (5, 1, 1), (7, 16, 5)]
SEEDS = [0, 1, -1, 2**40 + 3, 2**63 - 1, -(2**63)]

sizes = st.integers(2, 40)
patch_sizes = st.integers(1, 7)


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


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_masks_are_the_same_for_any_chunk(chunk):
    images, draws = torch.arange(10).repeat_interleave(30), torch.arange(30).repeat(10)
    whole = masks.blank_patches(masks.keys(3, images, draws, 49), 12)
    parts = [
        masks.blank_patches(masks.keys(3, *part, 49), 12)
        for part in zip(images.split(chunk), draws.split(chunk), strict=True)
    ]
    assert torch.equal(torch.cat(parts), whole)


@given(st.permutations(range(24)), st.integers(0, 24))
def test_keys_are_the_same_for_any_split_into_units(order, cut):
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(6))
    whole = masks.keys(11, pairs[:, 0], pairs[:, 1], 9)
    order = torch.tensor(order)
    for unit in (order[:cut], order[cut:]):
        assert torch.equal(masks.keys(11, pairs[unit, 0], pairs[unit, 1], 9), whole[unit])


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


@pytest.mark.parametrize(("height", "width", "patch_size"), SIZES)
def test_each_pixel_has_the_value_of_its_patch(height, width, patch_size):
    columns = -(-width // patch_size)
    patches = -(-height // patch_size) * columns
    pixels = masks.to_pixels(torch.arange(patches)[None], height, width, patch_size)
    assert pixels.shape == (1, 1, height, width)
    for r in range(height):
        for c in range(width):
            assert pixels[0, 0, r, c] == r // patch_size * columns + c // patch_size


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


@pytest.mark.parametrize("patch_size", [0, -2])
def test_a_patch_size_below_one_is_refused(patch_size):
    with pytest.raises(ValueError, match=f"Expected patch_size >= 1, got {patch_size}"):
        masks.grid_shape(28, 28, patch_size)


@pytest.mark.parametrize("groups", [-1, 0, 1, 10])
def test_a_number_of_groups_that_cannot_part_the_patches_is_refused(groups):
    with pytest.raises(ValueError, match=f"Expected 2 to 9 groups for 9 patches, got {groups}"):
        masks.fill_groups(keys_of(0, 9), groups)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 2**70])
def test_a_seed_of_more_than_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match="Expected a seed from -2"):
        keys_of(seed, 9)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(8, 8, 2), (28, 28, 2), (32, 32, 8), (300, 224, 56)]
)
def test_larger_images_have_larger_patches_unless_told(height, width, size):
    assert masks.default_patch_size(height, width) == size
    images = torch.rand(1, 1, height, width)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(height * width, 3))
    told, untold = (
        expected_fill(Classifier(net), images, samples=2, **options)
        for options in ({"patch_size": size}, {})
    )
    assert torch.equal(told.masked, untold.masked)
    told, untold = (
        fill_regions(images, groups=3, seed=1, indices=torch.zeros(1).long(), **options)
        for options in ({"patch_size": size}, {})
    )
    assert torch.equal(told, untold)
