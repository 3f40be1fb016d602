"""MeGe, ReCo and the null of other images: scipy, scikit-learn, and cases made by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_curve

from fillblanks.attribution.agreement import distances, mege, reco, spearman_with_others
from fillblanks.attribution.patch_means import centre_patches
from fillblanks.attribution.ranks import spearman


def _maps(seed, count=7, patches=20):
    drawn = np.random.default_rng(seed)
    return torch.from_numpy(drawn.integers(0, 9, (count, patches)).astype(float))


def test_the_null_is_the_mean_of_scipys_correlations_with_all_other_images():
    maps, others = _maps(0), _maps(1)
    found = spearman_with_others(maps, others)
    for i, one in enumerate(maps):
        rest = [spearmanr(one, other)[0] for j, other in enumerate(others) if j != i]
        assert float(found[i]) == pytest.approx(np.mean(rest))


def test_maps_that_are_always_of_the_centre_agree_with_those_of_other_images_too():
    centre = centre_patches(16, 16, 4).expand(5, -1)
    assert torch.allclose(spearman(centre, centre), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(spearman_with_others(centre, centre), torch.ones(5, dtype=torch.float64))
    assert mege(distances(spearman(centre, centre))) == pytest.approx(1)


def test_constant_maps_agree_with_nothing():
    constant = torch.ones(3, 20)
    assert spearman_with_others(constant, _maps(0, 3)).tolist() == [0, 0, 0]
    assert spearman_with_others(_maps(0, 3), constant).tolist() == [0, 0, 0]
    assert distances(torch.zeros(2)).tolist() == [1, 1]
    assert mege(torch.ones(2)) == 0.5


def test_one_image_has_no_others():
    with pytest.raises(ValueError, match="two images or more, got 1"):
        spearman_with_others(_maps(0, 1), _maps(1, 1))


def test_mege_is_as_the_authors_code_has_it():
    maps, others = _maps(2).numpy(), _maps(3).numpy()
    rho = [spearmanr(a, b)[0] for a, b in zip(maps, others, strict=True)]
    expected = 1 / (1 + np.mean([np.sqrt(1 - abs(one)) for one in rho]))
    assert mege(distances(torch.tensor(rho))) == pytest.approx(expected)
    opposite = distances(torch.tensor([1.0, -1.0, 1.0000001]))
    assert opposite.tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_reco_is_the_highest_point_of_the_roc_curve(seed):
    drawn = np.random.default_rng(seed)
    same, different = drawn.random(30).round(1), (drawn.random(12) + 0.2).round(1)
    truth = np.repeat([1, 0], [30, 12])
    false, true, _ = roc_curve(truth, -np.concatenate([same, different]), drop_intermediate=False)
    found = reco(torch.from_numpy(same), torch.from_numpy(different))
    assert found == pytest.approx((true - false).max())


def test_reco_of_distances_that_are_apart_is_1_and_of_the_wrong_order_0():
    near, far = torch.tensor([0.1, 0.2]), torch.tensor([0.7, 0.8, 0.9])
    assert reco(near, far) == 1
    assert reco(far, near) == 0
    assert reco(near, near) == 0
    assert math.isnan(reco(near, torch.tensor([])))
    assert math.isnan(reco(torch.tensor([]), far))
