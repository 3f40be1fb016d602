"""Draws are functions of seed, image, use and step, whatever the batch."""

import pytest
import torch
from scipy import stats

from fillblanks.synthesis.draws import Draws

INDICES = torch.tensor([4, 0, 9])


def test_an_image_has_the_same_draws_in_any_batch():
    together, alone = Draws(7, INDICES), Draws(7, INDICES[1:2])
    for step in (0, 3):
        assert torch.equal(
            together.normal("noise", step, 101)[1:2], alone.normal("noise", step, 101)
        )
        assert torch.equal(together.uniform("view", step, 3)[1:2], alone.uniform("view", step, 3))


def test_uses_steps_seeds_and_images_differ():
    draws, other = Draws(7, INDICES), Draws(8, INDICES)
    found = [
        *draws.uniform("phase", 0, 4),
        *draws.uniform("view", 0, 4),
        *draws.uniform("noise", 0, 4),
        *draws.uniform("phase", 1, 4),
        *other.uniform("phase", 0, 4),
    ]
    assert len({tuple(row.tolist()) for row in found}) == 15


def test_they_are_apart_from_those_of_masks_and_other_nulls(plain):
    state = plain.keys(7, 4, -(1 << 32), 1)[0]
    assert Draws(7, INDICES).uniform("phase", 0, 1)[0, 0] == pytest.approx(
        ((state >> 32) + 2**31 + 0.5) / 2**32, abs=1e-12
    )


def test_numbers_are_normal_and_uniform():
    draws = Draws(0, torch.arange(40))
    normal = draws.normal("noise", 2, 1001)
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 0.001
    assert normal.isfinite().all()
    pairs = normal[:, :500].flatten(), normal[:, 501:1001].flatten()
    assert abs(float(torch.corrcoef(torch.stack(pairs))[0, 1])) < 0.03
    uniform = draws.uniform("view", 2, 1000)
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 0.001
    assert uniform.min() > 0
    assert uniform.max() < 1
