"""Views are what torch's roll and grid_sample give, with a draw for each image."""

import pytest
import torch
from torch.nn import functional

from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.views import Crop, Jitter, viewed

INDICES = torch.tensor([4, 0, 9, 5])


def sampled(images, scales, centres):
    """By grid_sample: `scales` and `centres` are (N, 2) in sides, rows first."""
    theta = torch.zeros(len(images), 2, 3, dtype=images.dtype)
    theta[:, 0, 0], theta[:, 1, 1] = scales[:, 1], scales[:, 0]
    theta[:, 0, 2], theta[:, 1, 2] = 2 * centres[:, 1] - 1, 2 * centres[:, 0] - 1
    grid = functional.affine_grid(theta, images.shape, align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def seen(view, images, step=1, indices=INDICES):
    matrices = view.matrices(Draws(3, indices), step, images.shape)
    return viewed(images, *(matrix.to(images.dtype) for matrix in matrices))


@pytest.mark.parametrize("size", [(20, 20), (15, 22), (1, 9)])
def test_jitter_rolls_and_then_zooms(pictures, size):
    images = pictures(4, 3, *size)
    view = Jitter(roll=5, zoom=0.3)
    drawn = Draws(3, INDICES).uniform("view", 1, 3)
    moves = ((drawn[:, 1:] * 11).floor() - 5).long().tolist()
    rolled = torch.stack([i.roll(m, (1, 2)) for i, m in zip(images, moves, strict=True)])
    scales = (1 + (2 * drawn[:, :1] - 1) * 0.3).expand(-1, 2)
    expected = sampled(rolled, scales, torch.full((4, 2), 0.5))
    torch.testing.assert_close(seen(view, images), expected, atol=1e-6, rtol=0)


def test_crops_are_parts_of_the_image(pictures):
    images = pictures(4, 1, 30, 25)
    draws = Draws(3, INDICES)
    sizes = 0.4 + 0.6 * draws.uniform("size", 1, 1)
    centres = (0.5 + 0.15 * draws.normal("view", 1, 2)).clamp(min=sizes / 2, max=1 - sizes / 2)
    expected = sampled(images, sizes.expand(-1, 2), centres)
    torch.testing.assert_close(seen(Crop(0.4), images), expected, atol=1e-5, rtol=0)


def test_a_roll_alone_only_moves_pixels(pictures):
    images = pictures(4, 2, 9, 12, torch.float32)
    found = [seen(Jitter(roll=3, zoom=0.0), images, step) for step in range(40)]
    for moved in found[:3]:
        for before, after in zip(images, moved, strict=True):
            assert torch.equal(before.flatten().sort()[0], after.flatten().sort()[0])
    rolls = {
        (down, right)
        for moved in found
        for down in range(-3, 4)
        for right in range(-3, 4)
        if torch.equal(moved[0], images[0].roll((down, right), (1, 2)))
    }
    assert {down for down, _ in rolls} == set(range(-3, 4))
    assert {right for _, right in rolls} == set(range(-3, 4))


def test_an_image_has_its_own_view_in_any_batch(pictures):
    images = pictures(4, 1, 9, 12)
    together = seen(Jitter(2, 0.2), images)
    alone = seen(Jitter(2, 0.2), images[2:3], indices=INDICES[2:3])
    torch.testing.assert_close(together[2:3], alone)


def test_the_gradient_is_that_of_finite_differences(pictures):
    images = pictures(4, 1, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: seen(Jitter(2, 0.3), given), images)
