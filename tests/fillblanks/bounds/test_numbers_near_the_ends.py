"""Bounds hold for the network's own numbers: some results are taken for 0, others are too large."""

import math

import pytest
import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.bounds.prover import Prover

SIDE, BASE, GAIN = 8, 0.3, 10.0


class _Cancelling(nn.Module):
    """Class 1 gains t - w, where w is t times `factors`, 1 in all: 0 but for the dtype's range."""

    def __init__(self, factors, gain):
        super().__init__()
        self.factors = factors
        self.first, self.last = nn.Linear(SIDE * SIDE, 1), nn.Linear(2, 2)
        with torch.no_grad():
            self.first.weight.zero_()
            self.first.weight[0, 0] = 1
            self.first.bias.fill_(-0.5)
            self.last.weight.copy_(torch.tensor([[0.0, 0.0], gain]))
            self.last.bias.copy_(torch.tensor([BASE, 0.0]))

    def forward(self, x):
        t = w = torch.relu(self.first(x.flatten(1)))
        for factor in self.factors:
            w = w * factor
        return self.last(torch.cat([t, w], 1))


@pytest.mark.parametrize(
    ("factors", "gain"),
    [
        ((1e-25, 1e-25, 1e25, 1e25), (GAIN, -GAIN)),
        ((1e20, 1e20, 1e-20, 1e-20), (1e-3, 1e-3)),
        ((1e20, 1e20, 1e-20, 1e-20), (0.0, -1e-3)),
    ],
    ids=["too small", "too large", "too large for another class"],
)
def test_nothing_is_proven_that_the_numbers_of_the_network_break(factors, gain):
    classifier = Classifier(_Cancelling(factors, gain).eval())
    images = torch.full((2, 1, SIDE, SIDE), 0.1)
    blank = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    blank[:3, :3] = True
    white = torch.where(blank, 1.0, images[:1])
    assert classifier.predict(images[:1]).item() == 0
    assert classifier.predict(white).item() != 0
    margin = Prover(classifier, images).margin(images[0], blank, 0, steps=3)
    for bound in margin:
        assert math.isnan(bound) or bound < -GAIN * 0.5 + BASE


def test_the_same_without_extreme_factors_is_proven():
    classifier = Classifier(_Cancelling((0.5, 2.0), (GAIN, -GAIN)).eval())
    images = torch.full((2, 1, SIDE, SIDE), 0.1)
    blank = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    blank[:3, :3] = True
    assert Prover(classifier, images).margin(images[0], blank, 0).crown > 0
