"""The start solves Laplace's equation, which scipy solves too; push-pull is linear and exact."""

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from fillblanks import masks
from fillblanks.synthesis.harmonic import PushPull, harmonic

SIZES = [(12, 12), (13, 9), (1, 7), (8, 1), (40, 33)]


def blanks(height, width, count=2):
    rows, columns = masks.grid_shape(height, width, 3)
    keys = masks.keys(1, torch.arange(count), torch.zeros(count).long(), rows * columns)
    chosen = masks.blank_patches(keys, max(1, rows * columns * 2 // 3))
    return masks.to_pixels(chosen, height, width, 3)


def solved(image, blank):
    """(H, W) with blanks that solve Laplace's equation, by a sparse matrix."""
    height, width = image.shape
    matrix, right = lil_matrix((height * width, height * width)), np.zeros(height * width)
    for row in range(height):
        for column in range(width):
            place = row * width + column
            if not blank[row, column]:
                matrix[place, place], right[place] = 1, image[row, column]
                continue
            for r, c in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= r < height and 0 <= c < width:
                    matrix[place, place] += 1
                    matrix[place, r * width + c] = -1
    return spsolve(matrix.tocsr(), right).reshape(height, width)


@pytest.mark.parametrize("size", SIZES)
def test_the_start_solves_laplaces_equation(pictures, size):
    images, blank = pictures(2, 2, *size), blanks(*size)
    found = harmonic(images, (~blank).double())
    for i in range(2):
        for channel in range(2):
            expected = solved(images[i, channel].numpy(), blank[i, 0].numpy())
            np.testing.assert_allclose(found[i, channel], expected, atol=2e-3)
    assert torch.equal(found[(~blank).expand_as(found)], images[(~blank).expand_as(found)])


def test_single_precision_gives_the_same_start(pictures):
    images, blank = pictures(2, 3, 40, 33), blanks(40, 33)
    double = harmonic(images, (~blank).double())
    single = harmonic(images.float(), (~blank).float())
    torch.testing.assert_close(single.double(), double, atol=2e-3, rtol=0)


def test_an_image_has_the_same_start_in_any_company(pictures):
    images, keep = pictures(2, 1, 40, 33), (~blanks(40, 33)).double()
    easy = torch.stack([images[0], torch.zeros_like(images[0])])
    torch.testing.assert_close(harmonic(easy, keep)[0], harmonic(images, keep)[0])


@pytest.mark.parametrize("size", SIZES)
def test_a_constant_stays_constant(size):
    keep = (~blanks(*size)).double()
    constant = torch.full((2, 3, *size), 0.3).double()
    for found in (harmonic(constant, keep), PushPull(keep)(constant)):
        torch.testing.assert_close(found, constant)


@pytest.mark.parametrize("size", SIZES)
def test_push_pull_is_linear_exact_at_visible_pixels_and_between_their_values(pictures, size):
    keep = (~blanks(*size)).double()
    one, other = pictures(4, 2, *size).split(2)
    filled = PushPull(keep)
    torch.testing.assert_close(filled(2 * one - other), 2 * filled(one) - filled(other))
    torch.testing.assert_close(filled(one) * keep, one * keep)
    assert filled(one).max() <= one.max()
    assert filled(one).min() >= one.min()
    assert torch.equal(filled(one), filled(one * keep))


def test_the_gradient_of_push_pull_is_that_of_finite_differences(pictures):
    images, keep = pictures(1, 1, 7, 6).requires_grad_(), (~blanks(7, 6, 1)).double()
    assert torch.autograd.gradcheck(PushPull(keep), images)
