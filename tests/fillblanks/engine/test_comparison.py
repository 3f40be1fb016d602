"""Fills of two plans are compared by their overlap and their shares of accepted draws."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

from fillblanks import Classifier, Plan, expected_fill
from fillblanks.engine.comparison import Comparison, half_interval, overlap
from fillblanks.fills.tune import fill_in_trial

SIDE = 12
grey = arrays.arrays(np.float64, (3, 2, 3), elements=st.floats(0, 1)).map(torch.from_numpy)
white = arrays.arrays(np.bool_, (2, 17))


@given(pixels=white)
def test_overlap_of_black_and_white_is_the_jaccard_score(pixels):
    one, other = (torch.from_numpy(row).double().view(1, 1, 1, -1) for row in pixels)
    expected = jaccard_score(*pixels, zero_division=1.0)
    assert overlap(one, other).item() == pytest.approx(expected, abs=1e-15)


@given(values=grey)
def test_one_minus_overlap_is_a_metric(values):
    images = [image.view(1, 1, 2, 3) for image in values]
    distance = {
        (i, k): 1 - overlap(images[i], images[k]).item()
        for i, k in itertools.product(range(3), repeat=2)
    }
    for a, b, c in itertools.permutations(range(3)):
        assert 0 <= distance[a, b] <= 1
        assert distance[a, b] == distance[b, a]
        assert distance[a, a] == 0
        assert (distance[a, b] == 0) <= torch.allclose(images[a], images[b], rtol=0, atol=1e-12)
        assert distance[a, c] <= distance[a, b] + distance[b, c] + 1e-12


def test_overlap_is_of_each_image_and_1_of_black_ones_and_nan_of_nan():
    one, other = torch.zeros(2, 4, 3, 5, 5)
    one[1], other[1, :, :2] = 1, 0.5
    one[2] = other[2] = 0.3
    other[3, 0, 0, 0] = torch.nan
    assert overlap(one, other).dtype == torch.float64
    expected = torch.tensor([1.0, 0.2, 1.0, torch.nan]).double()
    torch.testing.assert_close(overlap(one, other), expected, equal_nan=True)


def test_precision_that_accepts_other_draws_is_noticed(images):
    class Level(nn.Module):
        """Has so large a bias that bfloat16 cannot tell the classes apart and answers class 0."""

        def forward(self, x: Tensor) -> Tensor:
            weights = torch.randn(SIDE * SIDE, 2, generator=torch.Generator().manual_seed(0))
            return 0.01 * (x.flatten(1) @ weights.to(x.dtype)) + 300

    labels = torch.zeros(len(images), dtype=torch.int64)
    compared = Comparison(
        Classifier(Level()),
        fill_in_trial(Classifier(Level()), images, labels, {"patch_size": 3}),
        len(images),
        64,
    )
    accepted = expected_fill(Classifier(Level()), images, labels, samples=64, max_draws=64).accepted
    assert accepted.float().mean() < 45
    assert compared.to_full(Plan(32), Plan(64))[1] == ""
    words = compared.to_full(Plan(32, precision="bfloat16"), Plan(64))[1]
    assert "100.0% of its draws are accepted, in full " in words


@pytest.mark.parametrize(("right", "of"), [(0, 5), (3, 10), (32, 32), (17, 400)])
def test_half_an_interval_is_that_of_scipy(right, of):
    interval = binomtest(right, of).proportion_ci(method="wilson")
    expected = (interval.high - interval.low) / 2
    assert half_interval(right / of, of) == pytest.approx(expected, rel=1e-4)
