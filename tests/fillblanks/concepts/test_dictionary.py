"""Dictionaries give back what they were made of, for values of one sign and of both."""

import pytest
import torch
from torch import nn

from fillblanks.concepts.cut import cut
from fillblanks.concepts.dictionary import Dictionary, kept
from fillblanks.concepts.places import windows_of


def _low_rank(concepts, channels=24, seed=0):
    """Values (30, 9, channels) of `concepts` disjoint directions, and the directions."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.kron(torch.eye(concepts), torch.ones(channels // concepts))
    # Most codes are near 0, as activations are.
    codes = torch.rand(30, 9, concepts, generator=generator).double() ** 4
    return codes @ rows.double(), rows.double()


def test_a_planted_disjoint_dictionary_is_recovered():
    values, rows = _low_rank(4)
    found = Dictionary.of(values, 4)
    alike = torch.from_numpy(found.rows) @ (rows / rows.norm(dim=1, keepdim=True)).T
    assert (alike.amax(1) > 0.999).all()
    assert sorted(alike.argmax(1).tolist()) == [0, 1, 2, 3]
    assert not found.signed


def test_values_of_low_rank_come_back():
    values, _ = _low_rank(4)
    found = Dictionary.of(values, 4)
    codes = found.codes(values)
    assert (codes >= 0).all()
    again = found.vectors(codes)
    assert (again - values).norm() / values.norm() < 1e-3
    # New values of the same directions too.
    others, _ = _low_rank(4, seed=1)
    assert (found.vectors(found.codes(others)) - others).norm() / others.norm() < 1e-3


def test_signed_values_come_back():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(40, 5, 6, generator=generator).double()
    found = Dictionary.of(values, 12)
    assert found.signed
    assert found.rows.shape == (12, 12)
    again = found.vectors(found.codes(values))
    assert again.shape == values.shape
    assert (again - values).norm() / values.norm() < 1e-2
    # One concept for each sign of each channel cannot be had from fewer.
    few = Dictionary.of(values, 4)
    assert (few.vectors(few.codes(values)) - values).norm() / values.norm() > 0.3


def test_the_same_values_and_seed_give_the_same_dictionary():
    values, _ = _low_rank(4)
    first, second = (Dictionary.of(values, 3, seed=5) for _ in range(2))
    assert (first.rows == second.rows).all()


def test_values_that_are_not_finite_or_all_zero_are_refused():
    values, _ = _low_rank(4)
    found = Dictionary.of(values, 4)
    values[0, 0, 0] = torch.nan
    for make in (lambda: Dictionary.of(values, 4), lambda: found.codes(values)):
        with pytest.raises(ValueError, match="finite values"):
            make()
    with pytest.raises(ValueError, match="not all 0"):
        Dictionary.of(torch.zeros(2, 4, 3), 2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


def test_predictions_are_kept_by_a_full_dictionary_and_lost_without_values():
    net, images = Net().eval(), torch.rand(60, 3, 8, 8)
    found = cut(net, images[:4])
    values = found.encode(images).detach()
    vectors = found.vectors(values)
    assert kept(found, values, vectors, chunk=7).all()
    dictionary = Dictionary.of(vectors, 8)
    rebuilt = dictionary.vectors(dictionary.codes(vectors))
    assert kept(found, values, rebuilt).double().mean() > 0.95
    # All images then have the class of the bias.
    bias = int(net.head.bias.argmax())
    none = kept(found, values, torch.zeros_like(vectors))
    assert torch.equal(none, net(images).argmax(1) == bias)
    assert not kept(found, values, vectors * torch.nan).any()


def test_windows_lie_around_their_places_and_inside_the_image():
    found = cut(Net().eval(), torch.rand(2, 3, 8, 12))
    assert (found.rows, found.columns) == (4, 6)
    places = torch.tensor([0, 5, 9, 23])
    assert windows_of(found, places, 8, 12, 2).tolist() == [[0, 0], [0, 10], [2, 6], [6, 10]]
    assert windows_of(found, places, 8, 12, 4).tolist() == [[0, 0], [0, 8], [1, 5], [4, 8]]
