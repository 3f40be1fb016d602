"""A spectrum is the statistics of images; noise that is made from it has standard deviation 1."""

import numpy as np
import pytest
import torch

from fillblanks import Spectrum
from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.parametrisation import Parametrisation

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 9, 11), (1, 12, 7), (1, 1, 6), (1, 5, 1), (1, 1, 2)]


def natural(count, channels, height, width):
    """Images whose colours go together, with more of the low frequencies."""
    generator = torch.Generator().manual_seed(3)
    grey = torch.rand(count, 1, height, width, generator=generator, dtype=torch.float64)
    own = torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64)
    return (0.5 + 0.5 * (grey.cumsum(3) / width - 0.5) + 0.1 * own).clamp(0, 1)


def noise_of(spectrum, count=400):
    draws = Draws(5, torch.arange(count))
    made = Parametrisation(spectrum, "spectrum", torch.full((1, *spectrum.shape), 0.5).double())
    phases = draws.uniform("phase", 0, spectrum.magnitude.numel())
    return made.decorrelated(made.start(phases, 1.0))


def test_the_colour_factor_is_one_of_the_covariance():
    images = natural(6, 3, 10, 14)
    spectrum = Spectrum.of(images)
    pixels = images.transpose(0, 1).flatten(1).numpy()
    covariance = np.cov(pixels, bias=True)
    np.testing.assert_allclose(spectrum.colour @ spectrum.colour.T, covariance, rtol=1e-9)
    np.testing.assert_allclose(spectrum.mean, pixels.mean(1))


def test_colours_have_one_sign_on_every_machine():
    colour = Spectrum.of(natural(6, 3, 10, 14)).colour
    largest = colour.abs().argmax(0)
    assert (colour.gather(0, largest[None]) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_with_random_phases_has_standard_deviation_1(shape):
    noise = noise_of(Spectrum.of(natural(8, *shape)))
    assert noise.shape == (400, *shape)
    # Each pixel over its 400 draws: 1 within 5 standard errors of .035, and the mean of all nearer.
    assert (noise.std(0) - 1).abs().max() < 0.2
    assert noise.square().mean().sqrt() == pytest.approx(1, abs=0.06)


def test_the_magnitude_is_that_of_decorrelated_images():
    images = natural(5, 3, 8, 8)
    spectrum = Spectrum.of(images)
    flat = (images - spectrum.mean[:, None, None]).flatten(2).numpy()
    plain = np.linalg.inv(spectrum.colour.numpy()) @ flat
    mean = np.abs(np.fft.rfft2(plain.reshape(images.shape))).mean(0)
    mean[:, 0, 0] = mean[:, 0, 1]
    ratio = spectrum.magnitude.numpy() / mean
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-9)


def test_grey_images_of_three_channels_make_grey_noise():
    images = natural(5, 1, 16, 16).expand(5, 3, 16, 16)
    spectrum = Spectrum.of(images)
    base = torch.full((4, 3, 16, 16), 0.5).double()
    made = Parametrisation(spectrum, "spectrum", base)
    start = made.start(Draws(0, torch.arange(4)).uniform("phase", 0, 3 * 16 * 9), 1.0)
    found = made(start)
    assert found.std() > 0.02
    assert (found - found.mean(1, keepdim=True)).abs().max() < 1e-3


def test_images_of_one_colour_have_a_spectrum_of_nothing():
    spectrum = Spectrum.of(torch.full((2, 3, 8, 8), 0.25))
    assert spectrum.magnitude.isfinite().all()
    assert spectrum.mean.tolist() == [0.25] * 3


@pytest.mark.parametrize("images", [torch.rand(3, 8, 8), torch.zeros(2, 1, 8, 8).byte()])
def test_other_tensors_are_refused(images):
    with pytest.raises(ValueError, match=r"Expected float images of shape \(N, C, H, W\)"):
        Spectrum.of(images)
