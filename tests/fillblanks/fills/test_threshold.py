"""T normalises and binarises the blanks alone, with Otsu's threshold as in scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.filters import threshold_otsu

from fillblanks import threshold
from fillblanks.engine.comparison import overlap
from fillblanks.fills.threshold import comparable, otsu

NORMALISE = ["positive", "minmax", "none"]
BINARISE = [0.1, 0.5, "otsu", None]
SHAPE = (2, 3, 5, 7)

every_option = [
    pytest.mark.parametrize("normalise", NORMALISE),
    pytest.mark.parametrize("binarise", BINARISE),
]
# Subnormal values are left out, since their ratios are not exact.
updates = arrays.arrays(
    np.float64, (2, 2, 3, 5), elements=st.floats(-1e3, 1e3), fill=st.nothing()
).map(lambda values: torch.from_numpy(np.where(np.abs(values) > 1e-30, values, 0.0)))
blanks = arrays.arrays(np.bool_, (2, 1, 3, 5)).map(torch.from_numpy)


def every(test):
    for mark in every_option:
        test = mark(test)
    return test


@every
@given(update=updates, blank=blanks)
@settings(max_examples=25)
def test_values_lie_in_0_to_1_and_are_0_on_kept_pixels(normalise, binarise, update, blank):
    value = threshold(update, blank, normalise=normalise, binarise=binarise)
    assert value.dtype == update.dtype
    assert ((value >= 0) & (value <= 1)).all()
    assert (value[~blank.expand_as(value)] == 0).all()
    if binarise is not None:
        assert set(value.unique().tolist()) <= {0.0, 1.0}


@every
@given(update=updates, blank=blanks)
@settings(max_examples=25)
def test_a_binarised_fill_is_unchanged_when_binarised_again(normalise, binarise, update, blank):
    if binarise is None:
        binarise = 0.25
    once = threshold(update, blank, normalise=normalise, binarise=binarise)
    again = threshold(once, blank, normalise=normalise, binarise=binarise)
    assert torch.equal(again, once)


@every
def test_rows_do_not_touch(normalise, binarise, pictures):
    update = (pictures(4, 3) - 0.5) * torch.tensor([1, 5, 0.01, 100]).view(4, 1, 1, 1)
    blank = pictures(4, 1) < 0.6
    together = threshold(update, blank, normalise=normalise, binarise=binarise)
    for i in range(4):
        alone = threshold(
            update[i : i + 1], blank[i : i + 1], normalise=normalise, binarise=binarise
        )
        assert torch.equal(together[i : i + 1], alone)


@pytest.mark.parametrize(
    ("normalise", "expected"),
    [
        ("positive", [0, 0.25, 1, 0]),
        ("minmax", [0, 3 / 6, 1, 0]),
        ("none", [0, 0.5, 1, 0]),
    ],
)
def test_normalising_a_small_update_gives_what_hand_arithmetic_gives(normalise, expected):
    update = torch.tensor([-1.0, 0.5, 2.0, 100.0]).view(1, 1, 1, 4)
    if normalise == "minmax":
        update = torch.tensor([-2.0, 1.0, 4.0, 100.0]).view(1, 1, 1, 4)
    blank = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)
    value = threshold(update, blank, normalise=normalise, binarise=None)
    assert value.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("cut", "expected"), [(0.1, [0, 1, 1]), (0.5, [0, 0, 1]), (1.0, [0] * 3)])
def test_a_number_binarises_strictly_above_itself(cut, expected):
    update = torch.tensor([-1.0, 0.5, 1.0]).view(1, 1, 1, 3)
    value = threshold(update, torch.ones_like(update).bool(), binarise=cut)
    assert value.flatten().tolist() == expected


@pytest.mark.parametrize("normalise", ["positive", "minmax"])
@pytest.mark.parametrize("binarise", BINARISE)
def test_the_scale_of_an_update_does_not_matter(normalise, binarise, pictures):
    update, blank = pictures(2, 3) - 0.5, pictures(2, 1) < 0.6
    small = threshold(update * 2.0**-60, blank, normalise=normalise, binarise=binarise)
    large = threshold(update * 2.0**60, blank, normalise=normalise, binarise=binarise)
    assert torch.equal(small, large)


@pytest.mark.parametrize("normalise", ["positive", "none"])
@pytest.mark.parametrize("binarise", BINARISE)
@pytest.mark.parametrize("share", [0.4, 2.0], ids=["some blank", "all blank"])
def test_an_update_below_zero_everywhere_gives_an_empty_fill(normalise, binarise, share, pictures):
    update, blank = -pictures(2, 3) - 0.1, pictures(2, 1) < share
    value = threshold(update, blank, normalise=normalise, binarise=binarise)
    assert (value == 0).all()


@every
def test_a_zero_update_gives_an_empty_fill(normalise, binarise):
    value = threshold(
        torch.zeros(SHAPE),
        torch.ones(2, 1, 5, 7, dtype=torch.bool),
        normalise=normalise,
        binarise=binarise,
    )
    assert (value == 0).all()


@every
def test_nan_at_a_blank_stays_nan_and_in_its_own_image(normalise, binarise, pictures):
    update, blank = pictures(2, 3) - 0.3, pictures(2, 1) < 0.5
    clean = threshold(update, blank, normalise=normalise, binarise=binarise)
    at = blank[0, 0].nonzero()[0]
    update[0, 1, at[0], at[1]] = torch.nan
    value = threshold(update, blank, normalise=normalise, binarise=binarise)
    assert value[0, 1, at[0], at[1]].isnan()
    assert (value[~blank.expand_as(value)] == 0).all()
    assert torch.equal(value[1], clean[1])


@every
def test_what_lies_on_kept_pixels_does_not_matter(normalise, binarise, pictures):
    update, blank = pictures(2, 3) - 0.3, pictures(2, 1) < 0.5
    changed = torch.where(blank, update, torch.nan)
    options = {"normalise": normalise, "binarise": binarise}
    assert torch.equal(threshold(update, blank, **options), threshold(changed, blank, **options))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("power", [0.2, 1, 6], ids=["bright", "even", "dark"])
@pytest.mark.parametrize("channels", [1, 3])
def test_otsu_is_that_of_scikit_image_on_the_blank_pixels(dtype, power, channels, pictures):
    values = (pictures(4, channels) ** power).to(dtype)
    blank = pictures(4, 1).flip(0) < 0.3
    got = otsu(values, blank).flatten()
    for value, where, cut in zip(values, blank, got, strict=True):
        pixels = value[where.expand_as(value)].double().numpy()
        assert cut.item() == pytest.approx(threshold_otsu(pixels), rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.2] * 5 + [0.7], id="two values"),
        pytest.param([0.2] * 9, id="one value"),
        pytest.param([0.1] * 34 + [0.35, 0.9], id="0.35 on a bin edge"),
    ],
)
def test_otsu_parts_repeated_values_as_scikit_image_does(values):
    tensor = torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)
    upper = tensor > otsu(tensor, torch.ones_like(tensor).bool())
    assert upper.flatten().tolist() == (tensor > threshold_otsu(tensor.numpy())).flatten().tolist()


def test_an_unknown_way_to_normalise_is_refused():
    with pytest.raises(ValueError, match='"positive", "minmax" or "none", got \'max\''):
        threshold(torch.zeros(SHAPE), torch.ones(2, 1, 5, 7).bool(), normalise="max")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("normalise", "binarise"), [("positive", 0.1), ("positive", None), ("minmax", None)]
)
def test_what_is_compared_of_unrelated_updates_hardly_overlaps(normalise, binarise, channels):
    options = {"normalise": normalise, "binarise": binarise}
    one, other = torch.randn(2, 20, channels, 32, 32)
    forms = [comparable(update, **options) for update in (one, other)]
    assert overlap(*forms).mean() < 0.4
    assert (overlap(forms[0], comparable(one, **options)) == 1).all()
    assert overlap(forms[0], comparable(one + 0.01 * other, **options)).mean() > 0.9
    turned = comparable(-one, **options)
    assert overlap(forms[0], turned).mean() < 0.1
