"""Crop and pad give what torchvision's own transforms give."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as oracle

from audits.data.fit import Fit, fitted
from audits.errors import AuditError

ODD = [(37, 53), (53, 37), (31, 31), (224, 225), (99, 640), (8, 9), (600, 401)]


def _image(height, width, channels=3):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize(("to", "crop"), [(32, 28), (28, 28), (20, 28), (256, 224), (33, 32)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_crop_is_torchvisions_resize_and_centre_crop(size, to, crop, mode):
    image = _image(*size)
    resized = oracle.resize(image, [to], InterpolationMode(mode), antialias=True).clamp(0, 1)
    wanted = oracle.center_crop(resized, [crop, crop])
    found = fitted(image, Fit(3, crop, crop, "crop", resize_to=to, interpolation=mode))
    assert found.shape == (3, crop, crop)
    assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 3_000_000), (3_000_000, 1)])
def test_a_line_of_pixels_is_not_enlarged_beyond_all_bounds(size):
    line = torch.zeros(1, *size)
    with pytest.raises(AuditError, match=r"not far longer .* x \d+ before the centre"):
        fitted(line, Fit(1, 224, 224, "crop", resize_to=256))
    assert fitted(line, Fit(1, 28, 28)).shape == (1, 28, 28)


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize(("to", "crop"), [(32, (28, 20)), (20, (28, 28)), (None, (24, 32))])
def test_squash_is_torchvisions_resize_of_both_sides_and_centre_crop(size, to, crop):
    image = _image(*size)
    resized = oracle.resize(image, [to or max(crop)] * 2, antialias=True).clamp(0, 1)
    wanted = oracle.center_crop(resized, list(crop))
    found = fitted(image, Fit(3, *crop, "squash", resize_to=to))
    assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize("wanted", [(28, 28), (224, 112), (112, 224), (50, 7)])
def test_a_crop_without_a_length_is_the_least_that_has_no_border(size, wanted):
    white = torch.ones(1, *size)
    assert fitted(white, Fit(1, *wanted, "crop")).min() > 1 - 1e-6
    shorter = min(size)
    least = next(
        n
        for n in range(1, 9999)
        if all(n * s // shorter >= w for s, w in zip(size, wanted, strict=True))
    )
    named = Fit(1, *wanted, "crop", resize_to=least)
    image = _image(*size, channels=1)
    assert torch.equal(fitted(image, Fit(1, *wanted, "crop")), fitted(image, named))


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize("wanted", [(28, 28), (30, 47)])
def test_a_pad_shows_the_whole_image_between_black_borders(size, wanted):
    found = fitted(_image(*size), Fit(3, *wanted, "pad"))
    height, width = size
    scale = min(wanted[0] / height, wanted[1] / width)
    inner = (max(1, int(height * scale + 1e-9)), max(1, int(width * scale + 1e-9)))
    resized = oracle.resize(_image(*size), list(inner), antialias=True)
    assert wanted[0] in inner or wanted[1] in inner
    assert torch.allclose(found, oracle.center_crop(resized, list(wanted)), atol=1e-6)
    assert found.shape == (3, *wanted)


def test_a_stretch_has_no_border_and_loses_nothing():
    image = _image(37, 53)
    wanted = oracle.resize(image, [28, 20], antialias=True)
    assert torch.allclose(fitted(image, Fit(3, 28, 20)), wanted, atol=1e-6)
    rough = oracle.resize(image, [28, 20], antialias=False)
    assert torch.allclose(fitted(image, Fit(3, 28, 20, antialias=False)), rough, atol=1e-6)
    near = oracle.resize(image, [28, 20], InterpolationMode.NEAREST_EXACT)
    assert torch.equal(fitted(image, Fit(3, 28, 20, interpolation="nearest")), near)
