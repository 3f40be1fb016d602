"""Total indices are those of functions whose indices are known, and of concepts of a network."""

import math

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from fillblanks.attribution.sobol import designs, total_indices
from fillblanks.concepts.cut import cut
from fillblanks.concepts.dictionary import Dictionary
from fillblanks.concepts.importance import importances, mean_importances


def _indices(function, dimensions, draws, seed=0):
    first, second = designs(draws, dimensions, seed)
    changed = [
        function(torch.where(torch.arange(dimensions) == i, second, first))
        for i in range(dimensions)
    ]
    return total_indices(function(first)[None], torch.stack(changed)[None])[0]


def test_a_linear_model_has_the_squares_of_its_weights():
    weights = torch.tensor([4.0, 3, 2, 1, 0]).double()
    found = _indices(lambda x: x @ weights, 5, 4096)
    torch.testing.assert_close(found, weights.square() / weights.square().sum(), rtol=0, atol=2e-3)


def test_ishigami():
    def function(x):
        x = (2 * x - 1) * math.pi
        return x[:, 0].sin() * (1 + 0.1 * x[:, 2] ** 4) + 7 * x[:, 1].sin() ** 2

    expected = torch.tensor([0.5576, 0.4424, 0.2437]).double()
    torch.testing.assert_close(_indices(function, 3, 8192), expected, rtol=0, atol=3e-3)


def test_the_design_of_concepts_is_good_to_a_few_hundredths():
    weights = torch.arange(10).double().flip(0)
    expected = weights.square() / weights.square().sum()
    errors = [
        (_indices(lambda x: x @ weights, 10, 64, seed) - expected).abs().max().item()
        for seed in range(20)
    ]
    assert sum(errors) / len(errors) < 0.04


def test_answers_that_do_not_vary_have_no_index():
    assert _indices(lambda x: torch.ones(len(x)).double(), 3, 8).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="power of two"):
        designs(48, 3, 0)


class Additive(nn.Module):
    """Class 0 has 3 times the first channel and once the second, summed over places."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, 2, bias=False)
        self.conv.weight.data = torch.eye(3)[:, :, None, None]
        self.head.weight.data = torch.tensor([[3.0, 1, 0], [0, 0, 1]])

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


def test_concepts_of_a_linear_head_have_the_squares_of_their_contributions():
    torch.manual_seed(0)
    images = torch.rand(6, 3, 4, 4)
    found = cut(Additive().eval(), images)
    values = found.encode(images).detach()
    dictionary = Dictionary(np.eye(3), 3)
    codes = found.vectors(values).double()
    assert torch.equal(dictionary.vectors(codes), codes)
    indices = importances(found, values, codes, dictionary, 0, draws=2048, chunk=100)
    parts = (codes.mean(1) * torch.tensor([3.0, 1, 0])).square()
    torch.testing.assert_close(indices, parts / parts.sum(1, keepdim=True), rtol=0, atol=5e-3)
    other = importances(found, values, codes, dictionary, 1, draws=64)
    assert (other[:, 2] > 0.9).all()
    assert (other[:, :2] < 1e-6).all()


@pytest.mark.slow
def test_concepts_of_tokens_with_values_of_both_signs_have_indices():
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(16, 4, 2, 2, 16, 32, num_classes=4).eval()
    nn.init.normal_(net.heads.head.weight)
    images = torch.rand(8, 3, 16, 16)
    found = cut(net, images)
    assert found.layout == "tokens"
    values = found.encode(images).detach()
    dictionary = Dictionary.of(found.vectors(values), 5)
    assert dictionary.signed
    codes = dictionary.codes(found.vectors(values))
    some = [importances(found, values, codes, dictionary, 1, chunk=chunk) for chunk in (9, 500)]
    assert some[0].shape == (8, 5)
    assert (some[0] > 0).any(1).all()
    torch.testing.assert_close(some[0], some[1], rtol=1e-3, atol=1e-4)


def test_means_have_an_interval_over_images():
    generator = torch.Generator().manual_seed(0)
    indices = torch.rand(50, 4, generator=generator).double()
    found = mean_importances(indices)
    spread = 1.96 * indices.std(0).numpy() / 50**0.5
    np.testing.assert_allclose(found[:, 0], indices.mean(0).numpy())
    np.testing.assert_allclose(found[:, 2] - found[:, 0], spread, rtol=0.2)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], spread, rtol=0.2)
    assert (mean_importances(indices) == found).all()
    assert np.isnan(mean_importances(indices[:1])[:, 1:]).all()
