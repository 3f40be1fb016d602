"""The second-order update agrees with scipy's BFGS and finds known minima, row by row."""

import numpy as np
import pytest
import torch
from scipy.optimize import BFGS, minimize
from torch import nn
from torch.nn import functional

from fillblanks import (
    Classifier,
    Plan,
    expected_fill,
    first_order,
    progressive_fill,
    second_order,
    threshold,
)
from fillblanks.fills.second_order import InverseHessian


def test_the_inverse_is_that_of_scipy():
    rng = np.random.default_rng(0)
    rows, size = 3, 7
    curvature = rng.normal(size=(rows, size, size))
    curvature = curvature @ curvature.transpose(0, 2, 1) + np.eye(size)
    theirs = [BFGS(exception_strategy="skip_update", min_curvature=1e-12) for _ in range(rows)]
    for matrix in theirs:
        matrix.initialize(size, "inv_hess")
    ours, vector = InverseHessian(), rng.normal(size=(rows, size))
    for _ in range(5):
        steps = rng.normal(size=(rows, size))
        changes = np.einsum("nij,nj->ni", curvature, steps)
        ours.add(torch.from_numpy(steps), torch.from_numpy(changes))
        expected = []
        for matrix, step, change, row in zip(theirs, steps, changes, vector, strict=True):
            matrix.update(step, change)
            expected.append(matrix.dot(row))
        got = ours.times(torch.from_numpy(vector))
        np.testing.assert_allclose(got, np.stack(expected), rtol=1e-9)


def test_a_step_without_curvature_changes_nothing():
    inverse, vector = InverseHessian(), torch.randn(2, 5, dtype=torch.float64)
    step = torch.randn(2, 5, dtype=torch.float64)
    inverse.add(step, torch.stack([2 * step[0], -step[1]]))
    inverse.add(torch.zeros_like(step), torch.zeros_like(step))
    got = inverse.times(vector)
    torch.testing.assert_close(got[0], vector[0] / 2)
    assert torch.equal(got[1], vector[1])


class Bowl(nn.Module):
    """Two logits whose cross-entropy for class 0 is a convex function of few pixels."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        root = torch.randn(6, 6, dtype=torch.float64, generator=generator)
        self.curvature = root @ root.T / 6 + torch.eye(6, dtype=torch.float64)
        self.lowest = torch.rand(6, dtype=torch.float64, generator=generator)

    def forward(self, x):
        away = x.flatten(1) - self.lowest
        height = 1 + 0.5 * (away @ self.curvature * away).sum(1)
        # The cross-entropy of (a, 0) for class 0, log(1 + exp(-a)), is `height` for this a.
        return torch.stack([-torch.log(torch.expm1(height)), torch.zeros_like(height)], dim=1)


def test_in_a_bowl_it_leads_to_the_minimum_that_scipy_finds():
    net, start = Bowl(), torch.full((1, 1, 2, 3), 0.5, dtype=torch.float64)
    label = torch.zeros(1, dtype=torch.int64)

    def loss(values):
        return float(functional.cross_entropy(net(torch.from_numpy(values)[None]), label))

    found = minimize(loss, start.flatten().numpy(), method="BFGS", options={"gtol": 1e-8})
    wanted = torch.from_numpy(found.x) - start.flatten()
    np.testing.assert_allclose(found.x, net.lowest, atol=1e-6)
    first = first_order(net, start, label).update.flatten()
    second = second_order(net, start, label, iterations=40).update.flatten()
    assert (second - wanted).norm() < 0.1 * wanted.norm()
    best = (first @ wanted) / (first @ first) * first  # best multiple of the gradient
    assert (best - wanted).norm() > 0.2 * wanted.norm()


def test_it_leads_downhill_and_says_what_first_order_says(network, pictures):
    classifier, images = Classifier(network(3).eval()), pictures(5, 3)
    first, second = first_order(classifier, images), second_order(classifier, images)
    assert torch.equal(first.predicted, second.predicted)
    assert torch.equal(first.label, second.label)
    assert ((first.update * second.update).sum((1, 2, 3)) > 0).all()
    assert not torch.allclose(first.update, second.update)


def test_rows_do_not_touch(network, pictures):
    classifier, images = Classifier(network(1).eval()), pictures(4)
    labels = torch.tensor([0, 1, 2, 3])
    together = second_order(classifier, images, labels).update
    rows = zip(images[:, None], labels[:, None], strict=True)
    alone = [second_order(classifier, image, label).update for image, label in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-6, atol=1e-9)


def test_where_there_is_no_gradient_it_is_zero():
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3] * 0

    assert (second_order(Flat(), torch.rand(2, 1, 2, 2)).update == 0).all()


@pytest.mark.parametrize("iterations", [0, -1])
def test_iterations_are_one_or_more(iterations):
    with pytest.raises(ValueError, match=r"^Expected iterations >= 1, got"):
        second_order(Bowl(), torch.rand(1, 1, 2, 3).double(), iterations=iterations)


def test_a_fill_takes_it_and_never_in_reduced_precision(network, pictures):
    classifier, images = Classifier(network(3).eval().float()), pictures(3, 3).float()
    options = {"samples": 1, "average": "raw", "plan": Plan(2, precision="bfloat16")}
    fill = expected_fill(classifier, images, update="second_order", **options)
    assert fill.found.all()
    assert fill.plan.precision == "full"
    expected = second_order(classifier, fill.masked, fill.label).update
    torch.testing.assert_close(fill.update, expected, rtol=1e-3, atol=1e-5)

    fill = progressive_fill(classifier, images, update="second_order")
    blank, first = fill.blank, second_order(classifier, fill.masked).update
    step = torch.where(blank, threshold(first, blank), fill.masked)
    torch.testing.assert_close(fill.steps[:, 0], step)


@pytest.mark.parametrize("fill", [expected_fill, progressive_fill])
def test_an_update_that_does_not_exist_is_refused(fill, network, pictures):
    with pytest.raises(
        ValueError, match=r"^Expected one of first_order, second_order, got 'third'"
    ):
        fill(Classifier(network()), pictures(1), update="third")
