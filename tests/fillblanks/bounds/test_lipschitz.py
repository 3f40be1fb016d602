"""The constant is never below the truth, and near it; radii hold."""

import pytest
import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.bounds import lipschitz as room
from fillblanks.bounds.lipschitz import lipschitz, radius
from fillblanks.bounds.prover import Prover


def _matrix(layer, shape):
    unit = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        zero = layer.double()(torch.zeros(1, *shape, dtype=torch.float64))
        found = (layer(unit) - zero).flatten(1)
    layer.float()
    return found


@pytest.mark.soak
def test_the_constant_of_a_chain_is_the_product_of_the_norms(nets, provers):
    net = nets["plain"].net
    norms = [
        torch.linalg.matrix_norm(_matrix(layer, shape), 2).item()
        for layer, shape in ((net[0], (2, 8, 8)), (net[3], (4 * 16,)))
    ]
    exact = norms[0] * norms[1] / 0.3  # its std
    found = lipschitz(provers["plain"].program)
    assert exact <= found <= 1.02 * exact


@pytest.mark.slow
def test_a_large_matrix_has_a_bound_that_is_coarser(provers, monkeypatch):
    exact = lipschitz(provers["normed"].program)
    monkeypatch.setattr(room, "_LARGEST", 1)
    coarse = lipschitz(provers["normed"].program)
    assert exact < coarse < 1000 * exact


def test_other_graphs_than_chains_have_none(provers):
    assert lipschitz(provers["residual"].program) is None
    assert lipschitz(provers["pooled"].program) is None


@pytest.mark.slow
def test_no_image_within_the_radius_has_another_answer():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 3)).double()
    for layer in (net[1], net[3]):
        nn.init.orthogonal_(layer.weight)
    classifier = Classifier(net.eval())
    images = torch.rand(20, 1, 3, 3).double()
    prover = Prover(classifier, images[:2])
    constant = lipschitz(prover.program)
    assert constant == pytest.approx(1, abs=0.02)
    for image in images:
        answer = int(classifier.predict(image[None]))
        reach = radius(prover, constant, image, answer)
        away = torch.randn(2000, 1, 3, 3).double()
        away *= reach / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        with torch.no_grad():
            assert (net(image + away).argmax(1) == answer).all()
        assert reach > 0
    assert radius(prover, constant, images[0], (int(classifier.predict(images[:1])) + 1) % 3) == 0


def test_weights_of_zero_have_a_constant_of_zero():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    nn.init.zeros_(net[1].weight)
    prover = Prover(Classifier(net), torch.rand(2, 1, 2, 2))
    assert lipschitz(prover.program) == 0
    assert radius(prover, 0.0, torch.rand(1, 2, 2), int(net[1].bias.argmax())) == float("inf")
