"""Figures of maps: closed forms for one decisive pixel, scipy's correlations, exact nulls."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from fillblanks.attribution.faithfulness import (
    Losses,
    deletion,
    insertion,
    losses,
    mu_fidelity,
)
from fillblanks.attribution.patch_means import centre_patches, patch_means, random_patches
from fillblanks.attribution.permuted import has_weights, permuted_weights
from fillblanks.attribution.ranks import spearman
from fillblanks.attribution.region_figures import inside_share, pointing, region_share

WHITE, LABEL = torch.ones(1, 1, 8, 8), torch.tensor([1])


def one_pixel(images):
    """Sure of class 1 if the pixel (3, 4) can be seen."""
    seen = (images[:, 0, 3, 4] > 0).double()
    return torch.stack([1 - seen, seen], 1)


def _map_of(*pixel):
    values = torch.zeros(1, 8, 8)
    values[0][pixel] = 1
    return values.flatten(1)


def test_one_decisive_pixel_of_64_has_the_areas_of_one_step():
    own, ask = _map_of(3, 4), (one_pixel, WHITE, LABEL)
    assert deletion(*ask, own, patch_size=1, steps=64).item() == 0.5 / 64
    assert insertion(*ask, own, patch_size=1, steps=64).item() == 1 - 0.5 / 64
    # The worst map: the pixel comes last.
    assert deletion(*ask, -own, patch_size=1, steps=64).item() == 1 - 0.5 / 64
    assert insertion(*ask, -own, patch_size=1, steps=64).item() == 0.5 / 64


def test_random_orders_take_the_pixel_in_the_middle_on_average():
    images, labels = WHITE.expand(400, 1, 8, 8), LABEL.expand(400)
    order = random_patches(0, torch.arange(400), 64)
    assert (order.sort(1).values == torch.arange(64) / 64).all()
    areas = deletion(one_pixel, images, labels, order, patch_size=1, steps=64)
    assert areas.mean().item() == pytest.approx(0.5, abs=0.05)
    assert areas.unique().numel() > 50


@pytest.mark.parametrize("area", [deletion, insertion])
def test_the_area_is_that_of_numpy_over_the_same_images(area):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 1, 6, 6, generator=generator).double()
    baseline, values = images.flip(2), torch.rand(2, 9, generator=generator)

    def ask(x):
        share = x.mean((1, 2, 3))
        return torch.stack([share, 1 - share], 1)

    found = area(
        ask, images, torch.tensor([0, 1]), values, patch_size=2, steps=4, baseline=baseline
    )
    for i in range(2):
        order, heights = values[i].argsort(descending=True).tolist(), []
        for count in (0, 2, 4, 7, 9):  # round(9 / 4 * step), halves to even
            hidden = order[:count] if area is deletion else order[count:]
            seen = images[i].clone()
            for patch in hidden:
                row, column = 2 * (patch // 3), 2 * (patch % 3)
                window = (0, slice(row, row + 2), slice(column, column + 2))
                seen[window] = baseline[i][window]
            heights.append(ask(seen[None])[0, i].item())
        assert found[i].item() == pytest.approx(np.trapezoid(heights) / 4)


def test_mu_fidelity_of_the_summands_of_a_sum_is_one():
    weights = torch.randn(16, generator=torch.Generator().manual_seed(0)).double()

    def ask(x):
        return torch.nn.functional.avg_pool2d(x, 2).flatten(1) @ weights[:, None]

    images, labels = torch.ones(3, 1, 8, 8).double(), torch.zeros(3, dtype=torch.int64)
    found = losses(ask, images, labels, patch_size=2, subsets=50, seed=1)
    assert found.hidden.shape == (3, 50, 16)
    assert (found.hidden.sum(2) == 3).all()
    assert not torch.equal(found.hidden[0], found.hidden[1])
    torch.testing.assert_close(mu_fidelity(found, weights.expand(3, 16)), torch.ones(3).double())
    torch.testing.assert_close(mu_fidelity(found, -weights.expand(3, 16)), -torch.ones(3).double())
    assert (mu_fidelity(found, torch.ones(3, 16)) == 0).all()  # a map that does not vary
    constant = Losses(torch.zeros_like(found.lost), found.hidden)
    assert (mu_fidelity(constant, weights.expand(3, 16)) == 0).all()


def test_spearman_is_that_of_scipy_with_ties():
    drawn = np.random.default_rng(0)
    a, b = drawn.integers(0, 5, (6, 30)), drawn.integers(0, 9, (6, 30))
    found = spearman(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    assert found.tolist() == pytest.approx([spearmanr(x, y)[0] for x, y in zip(a, b, strict=True)])


def test_means_of_patches_cut_at_the_edge_are_of_their_own_pixels():
    maps = torch.rand(2, 5, 7)
    found = patch_means(maps, 3)
    assert found.shape == (2, 6)
    torch.testing.assert_close(found[:, 0].float(), maps[:, :3, :3].mean((1, 2)))
    torch.testing.assert_close(found[:, 5].float(), maps[:, 3:, 6:].mean((1, 2)))
    centre = centre_patches(12, 12, 4)
    assert centre.argmax() == 4
    torch.testing.assert_close(centre.view(3, 3), centre.view(3, 3).T)


def test_permuted_weights_are_the_same_numbers_and_go_back():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    before = [p.clone() for p in net.parameters()]
    places = [p.data_ptr() for p in net.parameters()]
    inside = []

    def broken():
        with permuted_weights(net, 1):
            inside.extend(p.clone() for p in net.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert all(map(torch.equal, before, net.parameters()))
    assert [p.data_ptr() for p in net.parameters()] == places
    for was, now in zip(before, inside, strict=True):
        assert torch.equal(was, now) == (was.dim() == 1)
        assert torch.equal(was.flatten().sort().values, now.flatten().sort().values)
    with permuted_weights(net, 1):
        assert all(map(torch.equal, inside, net.parameters()))
    with permuted_weights(net, 2):
        assert not torch.equal(inside[0], net[0].weight)
    assert has_weights(net)
    assert not has_weights(nn.Flatten())
    with pytest.raises(ValueError, match="without"), permuted_weights(nn.Flatten(), 0):
        pass


@pytest.mark.parametrize("flat", [False, True])
def test_weights_that_are_no_parameters_of_two_dimensions_are_permuted(flat):
    class Hiding(nn.Module):
        def __init__(self):
            super().__init__()
            own = torch.arange(30.0)
            if flat:
                self.own = nn.Parameter(own)
            else:
                self.register_buffer("own", own.view(10, 3))
            self.small = nn.Parameter(torch.rand(2, 2))

    net = Hiding()
    before = net.own.clone()
    with permuted_weights(net, 1):
        assert not torch.equal(net.own, before)
        assert torch.equal(net.own.flatten().sort().values, before.flatten())
    assert torch.equal(net.own, before)


def test_the_null_of_region_figures_is_the_mean_over_all_shifts_on_the_torus():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, 5, 6, generator=generator)
    region = torch.rand(1, 5, 6, generator=generator) < 0.3
    rolled = torch.cat([values.roll((y, x), (1, 2)) for y in range(5) for x in range(6)])
    expected = region_share(region).item()
    for figure in (inside_share, pointing):
        found = figure(rolled, region.expand(30, 5, 6))
        assert found.mean().item() == pytest.approx(expected)


def test_region_figures_of_maps_that_are_known():
    region = torch.zeros(3, 4, 4, dtype=torch.bool)
    region[:, :2, :2] = True
    values = torch.zeros(3, 4, 4)
    values[0, 0, 0], values[0, 3, 3], values[0, 2, 2] = 3, 1, -9
    values[1] = -1
    assert inside_share(values, region).tolist() == [0.75, 0, 0]
    assert pointing(values, region).tolist() == [1, 0.25, 0.25]
