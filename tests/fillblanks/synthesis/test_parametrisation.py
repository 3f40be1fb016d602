"""Images from coefficients: gradients, free amplitudes, and MACO's fixed magnitude."""

import pytest
import torch

from fillblanks import Spectrum
from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.parametrisation import Parametrisation

SHAPES = [(1, 6, 6), (3, 5, 7), (3, 6, 5), (1, 5, 8), (1, 1, 4), (1, 4, 1)]


def made(pictures, prior, shape, count=2):
    spectrum = Spectrum.of(pictures(4, *shape))
    base = pictures(count, *shape)
    found = Parametrisation(spectrum, prior, base)
    phases = Draws(3, torch.arange(count)).uniform("phase", 0, spectrum.magnitude.numel())
    return found, found.start(phases, 0.3)


@pytest.mark.parametrize("prior", ["spectrum", "maco"])
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_the_gradient_is_that_of_finite_differences(pictures, prior, shape):
    image_of, parameters = made(pictures, prior, shape)
    assert torch.autograd.gradcheck(image_of, parameters.requires_grad_())


@pytest.mark.parametrize("shape", SHAPES)
def test_maco_keeps_the_magnitude_of_the_spectrum(pictures, shape):
    image_of, parameters = made(pictures, "maco", shape)
    found = torch.fft.rfft2(image_of.decorrelated(parameters)).abs()
    torch.testing.assert_close(found, image_of.spectrum.magnitude.expand_as(found))


def test_with_the_spectrum_amplitudes_are_free(pictures):
    image_of, parameters = made(pictures, "spectrum", (3, 5, 7))
    torch.testing.assert_close(
        torch.view_as_complex(parameters).abs(), torch.full((2, 3, 5, 4), 0.3).double()
    )
    once, twice = (image_of.decorrelated(factor * parameters) for factor in (1, 2))
    torch.testing.assert_close(twice, 2 * once)
    one = torch.zeros_like(parameters)
    one[0, 1, 2, 3, 0] = 1
    assert image_of.decorrelated(one)[0, 1].abs().max() > 0
    assert image_of.decorrelated(one)[0, 0].abs().max() == 0


def test_without_coefficients_the_image_is_the_base(pictures):
    image_of, parameters = made(pictures, "spectrum", (3, 5, 7))
    base = pictures(2, 3, 5, 7).clamp(0.02, 0.98)
    torch.testing.assert_close(image_of(torch.zeros_like(parameters)), base)
