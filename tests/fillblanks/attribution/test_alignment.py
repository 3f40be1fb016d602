"""Overlaps of the highest patches: scikit-learn, numpy, and cases made by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from fillblanks.attribution.alignment import WithOthers, dice, iou, top


def _sets(seed, count=6, patches=30):
    return torch.from_numpy(np.random.default_rng(seed).random((count, patches)) < 0.3)


@pytest.mark.parametrize("patches", [9, 10, 11, 49, 64, 100])
def test_the_top_is_what_is_at_least_the_quantile(patches):
    maps = np.random.default_rng(patches).random((5, patches))
    expected = maps >= np.quantile(maps, 0.9, axis=1, keepdims=True)
    assert np.array_equal(top(torch.from_numpy(maps)).numpy(), expected)


def test_the_top_has_all_that_are_equal_and_nothing_of_the_lowest_value():
    maps = torch.zeros(3, 20)
    maps[0, 3] = 1  # the second highest is the lowest value
    maps[1, 5:9] = 1
    assert top(maps).sum(1).tolist() == [1, 4, 0]
    with pytest.raises(ValueError, match="share above 0, at most 1, got 0"):
        top(maps, 0)


def test_dice_and_iou_are_those_of_scikit_learn():
    a, b = _sets(0), _sets(1)
    for found, score in ((dice(a, b), f1_score), (iou(a, b), jaccard_score)):
        expected = [score(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
        assert found.tolist() == pytest.approx(expected)


def test_sets_that_are_equal_have_1_and_empty_ones_0():
    a, empty = _sets(0), torch.zeros(6, 30, dtype=torch.bool)
    assert dice(a, a).tolist() == iou(a, a).tolist() == [1] * 6
    assert dice(a, ~a).tolist() == iou(a, empty).tolist() == dice(empty, empty).tolist() == [0] * 6


@pytest.mark.parametrize("count", [2, 6, 300])
def test_the_null_is_the_mean_over_all_other_images(count):
    sets, others = _sets(2, count, 12), _sets(3, count, 12)
    found = WithOthers(sets, others)
    for i in (0, 1, count - 1):
        rest = torch.arange(count) != i
        one = sets[i].expand(count - 1, -1)
        assert float(found.dice[i]) == pytest.approx(float(dice(one, others[rest]).mean()))
        assert float(found.iou[i]) == pytest.approx(float(iou(one, others[rest]).mean()))


def test_one_image_has_no_others():
    with pytest.raises(ValueError, match="two images or more, got 1"):
        WithOthers(_sets(0, 1), _sets(1, 1))


def test_independent_tops_overlap_as_chance_has_it():
    drawn = torch.Generator().manual_seed(0)
    maps, others = (torch.rand(400, 1000, generator=drawn) for _ in range(2))
    found = WithOthers(top(maps), top(others))
    assert float(found.dice.mean()) == pytest.approx(0.1, abs=0.002)
    assert float(found.iou.mean()) == pytest.approx(0.1 / 1.9, abs=0.002)
