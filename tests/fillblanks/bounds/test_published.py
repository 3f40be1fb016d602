"""A published verifier, auto_LiRPA, has the same bounds, if it is installed.

Version 0.3 is made for torch below 1.13: with newer releases three of its lines need a change, see
docs/blanks.md.
"""

import copy

import pytest
import torch

from fillblanks import Classifier
from fillblanks.bounds.crown import interval_bounds, lower_bounds, tightened
from fillblanks.bounds.interval import Bounds
from fillblanks.bounds.prover import Prover, box_of, margin_rows

lirpa = pytest.importorskip("auto_LiRPA", reason="the verifier auto_LiRPA is not installed")


def test_bounds_are_those_of_auto_lirpa(nets, cases):
    given = cases(nets["plain"], count=4, side=4)
    net, images = nets["plain"].net, given.images.double()
    # In float64, rounding widens our bounds by next to nothing.
    classifier = Classifier(copy.deepcopy(net).double(), mean=(0.4, 0.6), std=0.3)
    prover = Prover(classifier, images)
    last = len(prover.program.steps) - 1
    other = lirpa.BoundedModule(copy.deepcopy(net), images[:1].float(), device="cpu")
    for row in range(len(given)):
        with torch.no_grad():
            box = box_of(classifier, images[row], given.blanks[row])
            rows = margin_rows(3, int(given.answers[row]))
            bounds = Bounds(prover.program, box)
            by_intervals = interval_bounds(bounds, last, rows)
            ours = lower_bounds(tightened(bounds), last, rows)
        low, high = (((x - classifier.mean) / classifier.std).float() for x in box)
        free = lirpa.PerturbationLpNorm(norm=float("inf"), x_L=low, x_U=high)
        x = lirpa.BoundedTensor((low + high) / 2, free)
        for method, expected in (("IBP", by_intervals), ("backward", ours)):
            (found, *_) = other.compute_bounds(
                x=(x,), C=rows.float()[None], method=method, bound_upper=False
            )
            assert torch.allclose(found[0].double(), expected, atol=1e-3)
