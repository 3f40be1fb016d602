"""Patches that suffice: networks of which the fewest are known, and verification by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation
from fixed_net import fixed_classifier
from scipy.stats import entropy
from torch import nn

from audits.data.sources import Digits, load
from fillblanks import Classifier, masks
from fillblanks.attribution.gates import gate, gate_values, lead, open_probability
from fillblanks.attribution.patch_means import random_patches
from fillblanks.attribution.sufficient import (
    divergence,
    fewest_patches,
    log_probabilities_of,
    patch_costs,
)

BLACK = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
MOST = 0.1


class Additive(nn.Module):
    """The log odds of two classes: a weighted sum of the means of patches, and a bias."""

    def __init__(self, weights, size, bias=0.0):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float64))
        self.size, self.bias = size, bias

    def forward(self, x):
        means = nn.functional.avg_pool2d(x[:, 0], self.size).flatten(1)
        odds = means @ self.weights + self.bias
        return torch.stack([torch.zeros_like(odds), odds], 1)


def _images(count, side, seed=0):
    drawn = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.8 * drawn.double()


def _fewest(classifier, images, values, size, chunk=64):
    return fewest_patches(
        log_probabilities_of(classifier),
        images,
        values,
        blank=BLACK,
        patch_size=size,
        most_divergence=MOST,
        chunk=chunk,
    )


def _gates(classifier, images, size, **more):
    given = {"seed": 0, "indices": torch.arange(len(images)), **more}
    with classifier.steady():
        return gate_values(
            classifier, images, blank=BLACK, patch_size=size, most_divergence=MOST, **given
        )


def _costs(classifier, images, size, chunk=64):
    ask = log_probabilities_of(classifier)
    return patch_costs(ask, images, blank=BLACK, patch_size=size, chunk=chunk)


ORDERS = pytest.mark.parametrize("order", [_gates, _costs])


@ORDERS
def test_one_decisive_patch_of_64_suffices_alone(order):
    weights = torch.zeros(64)
    weights[27] = 40
    classifier = Classifier(Additive(weights, 4, bias=-4.0))
    images = _images(6, 32)
    found = _fewest(classifier, images, order(classifier, images, 4), 4)
    assert found.fewest.tolist() == [1] * 6
    assert found.kept.nonzero()[:, 1].tolist() == [27] * 6


def _by_brute_force(classifier, image, size, patches):
    """The fewest patches of all subsets that suffice."""
    subsets = torch.tensor(list(product([False, True], repeat=patches)))
    seen = masks.to_pixels(subsets, *image.shape[1:], size)
    ask = log_probabilities_of(classifier)
    told, given = ask(image[None]), ask(image * seen)
    enough = divergence(told.expand_as(given), given) <= MOST
    enough &= given.argmax(1) == told.argmax(1)
    return int(subsets.sum(1)[enough].min())


def _additive():
    weights = torch.tensor([9.0, 1.0, 5.0, 3.0, 0.5, 7.0, 2.0, 4.0, 0.1])
    return Classifier(Additive(weights, 4, bias=-4.0)), _images(8, 12)


def test_an_additive_network_needs_its_largest_terms_first():
    classifier, images = _additive()
    terms = nn.functional.avg_pool2d(images[:, 0], 4).flatten(1) * classifier.net.weights.detach()
    known = [_by_brute_force(classifier, image, 4, 9) for image in images]
    assert min(known) < max(known)
    assert _fewest(classifier, images, terms, 4).fewest.tolist() == known
    costs = _costs(classifier, images, 4)
    assert (costs.argsort(1) == terms.argsort(1)).all()
    assert _fewest(classifier, images, costs, 4).fewest.tolist() == known


def test_gates_find_the_fewest_patches_of_an_additive_network_but_for_one():
    classifier, images = _additive()
    found = _fewest(classifier, images, _gates(classifier, images, 4), 4).fewest
    known = torch.tensor([_by_brute_force(classifier, image, 4, 9) for image in images])
    assert (found >= known).all(), "no search can beat all subsets"
    assert (found - known).double().mean() < 1


@pytest.fixture(scope="module")
def digits():
    return fixed_classifier(), load(Digits()).tensor(range(20)).double()


@ORDERS
def test_the_hard_masks_are_what_is_told_and_one_patch_fewer_does_not_suffice(order, digits):
    classifier, images = digits
    values = order(classifier, images, 4)
    found = _fewest(classifier, images, values, 4)
    assert (found.kept.sum(1) == found.fewest).all()
    for image, value, kept, fewest, told in zip(
        images, values, found.kept, found.fewest, found.divergence, strict=True
    ):
        assert sorted(value[kept], reverse=True) == sorted(value, reverse=True)[:fewest]

        def of(rows, image=image):
            seen = masks.to_pixels(rows[None], 28, 28, 4)[0]
            whole, part = (classifier(one[None])[0].softmax(0) for one in (image, image * seen))
            same = whole.argmax() == part.argmax()
            return same, entropy(whole.detach(), part.detach())

        same, far = of(kept)
        assert same
        assert far <= MOST
        assert far == pytest.approx(float(told), abs=1e-9)
        if fewest:
            weakest = torch.where(kept, value, torch.inf).flip(0).argmin()
            fewer = kept.clone()
            fewer[len(kept) - 1 - weakest] = False
            same, far = of(fewer)
            assert not same or far > MOST


def test_gates_and_occlusion_need_fewer_patches_than_random_orders_of_the_same_images(digits):
    classifier, images = digits
    at_random = [
        _fewest(classifier, images, random_patches(0, torch.arange(20), 49, number), 4).fewest
        for number in range(2)
    ]
    assert (at_random[0] != at_random[1]).any()
    chance = torch.stack(at_random).double().mean()
    # The network is unsure of all images: gates that looked at the divergence alone needed more.
    for order in (_gates, _costs):
        found = _fewest(classifier, images, order(classifier, images, 4), 4).fewest
        assert found.double().mean() < 0.6 * chance


def test_costs_are_captums_ablation_of_the_divergence(digits):
    classifier, images = digits
    some = images[:5]
    ask = log_probabilities_of(classifier)
    told = ask(some)
    patches = masks.to_pixels(torch.arange(49)[None], 28, 28, 4)
    ablation = FeatureAblation(lambda x: -divergence(told.expand(len(x), -1), ask(x)))
    wide = ablation.attribute(some, baselines=0.0, feature_mask=patches)
    wanted = wide[:, 0, ::4, ::4].flatten(1)
    assert torch.allclose(_costs(classifier, some, 4), wanted, atol=1e-12)


def test_the_divergence_is_scipys_entropy():
    drawn = torch.Generator().manual_seed(0)
    told, given = (torch.randn(9, 5, generator=drawn).double().log_softmax(1) for _ in range(2))
    wanted = entropy(told.exp(), given.exp(), axis=1)
    assert np.allclose(divergence(told, given), wanted)
    assert (lead(given, given.argmax(1)) < 0).all()
    assert (lead(given, given.argmin(1)) > 0).all()


def test_gates_are_open_as_often_as_their_logits_say():
    logits = torch.tensor([-2.0, -0.3, 0.0, 1.0]).double()
    noise = torch.rand(50_000, 4, generator=torch.Generator().manual_seed(0)).double()
    gates = gate(logits, noise)
    assert ((gates >= 0) & (gates <= 1)).all()
    assert torch.allclose((gates > 0).double().mean(0), open_probability(logits), atol=0.01)
    assert ((gates == 0).double().mean(0) > 0.1).all()


@pytest.mark.slow
def test_an_image_has_the_same_gates_and_costs_in_any_batch(digits):
    classifier, images = digits
    some, indices = images[:4], torch.arange(4)
    few = {"steps": 20}  # each further step enlarges differences of last bits
    together = _gates(classifier, some, 4, **few)
    assert torch.allclose(_gates(classifier, some, 4, chunk=1, **few), together, atol=1e-9)
    again = _gates(classifier, some[2:], 4, indices=indices[2:], **few)
    assert torch.allclose(again, together[2:], atol=1e-9)
    assert not torch.allclose(_gates(classifier, some, 4, seed=1, **few), together, atol=1e-3)
    costs = _costs(classifier, some, 4)
    assert torch.allclose(_costs(classifier, some, 4, chunk=7), costs)
    one, other = (_fewest(classifier, some, costs, 4, chunk=chunk) for chunk in (5, 64))
    assert (one.kept == other.kept).all()
    assert one.passes == other.passes


class Mute(nn.Module):
    """No answer for an image that is mostly black."""

    def forward(self, x):
        mean = x.flatten(1).mean(1, keepdim=True)
        return torch.cat([mean, 2 * mean], 1).where(mean > 0.3, torch.nan)


def test_no_answer_never_suffices_and_breaks_no_order():
    classifier, images = Classifier(Mute()), _images(3, 8)
    images[2] = 0
    for order in (_gates, _costs):
        values = order(classifier, images, 4)
        assert values.isfinite().all()
        found = _fewest(classifier, images, values, 4)
        assert found.fewest[:2].min() > 0
        assert found.fewest[2] == 4
        assert found.divergence.isfinite().all()
