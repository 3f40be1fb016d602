"""Corruptions change images as scipy and torchvision do, and an amount of 0 changes none."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms.v2 import functional as transforms

from audits.checks._robustness.corruptions import KINDS, Images, amount_told, corrupted
from audits.checks.robustness import Robustness


def _photos(n=6, side=40, wide=56, seed=0):
    """Smooth colour images, which have the spectrum of photographs."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((n, 3, side, wide)), (0, 0, 3, 3))
    low, high = noise.min((2, 3), keepdims=True), noise.max((2, 3), keepdims=True)
    return torch.tensor((noise - low) / (high - low), dtype=torch.float32)


def _images(pixels, seed=0, first=0):
    return Images(pixels, seed, range(first, first + len(pixels)))


@pytest.mark.parametrize("corruption", ["noise", "blur", "brightness", "shift", "rotation"])
def test_amount_0_changes_nothing(corruption):
    pixels = _photos()
    torch.testing.assert_close(corrupted(_images(pixels), corruption, 0), pixels, atol=2e-7, rtol=0)


def test_the_whole_contrast_changes_nothing():
    pixels = _photos()
    torch.testing.assert_close(corrupted(_images(pixels), "contrast", 1), pixels)


@pytest.mark.parametrize("corruption", KINDS)
def test_a_larger_strength_changes_images_more_and_stays_in_range(corruption):
    images = _images(_photos())
    found = [corrupted(images, corruption, amount) for amount in KINDS[corruption].amounts]
    changes = [float((one - images.pixels).abs().mean()) for one in found]
    assert changes == sorted(changes)
    assert changes[0] > 0
    for one in found:
        assert one.shape == images.pixels.shape
        assert one.dtype == torch.float32
        assert 0 <= float(one.min()) <= float(one.max()) <= 1


@pytest.mark.parametrize("corruption", KINDS)
def test_a_corruption_depends_on_seed_and_image_alone(corruption):
    pixels = _photos(1).expand(30, -1, -1, -1)
    amount = KINDS[corruption].amounts[2]
    together = corrupted(_images(pixels), corruption, amount)
    alone = corrupted(_images(pixels[:1], first=7), corruption, amount)
    torch.testing.assert_close(together[7:8], alone, atol=0, rtol=0)
    other = corrupted(_images(pixels, seed=1), corruption, amount)
    drawn = corruption in ("noise", "brightness", "shift", "rotation")
    assert torch.equal(together, other) != drawn
    assert (together == together[:1]).all() != drawn


def test_noise_is_normal_and_the_same_at_all_strengths():
    grey = torch.full((4, 3, 64, 64), 0.5)
    weak, strong = (corrupted(_images(grey), "noise", amount) - 0.5 for amount in (0.04, 0.1))
    assert float(strong.std()) == pytest.approx(0.1, rel=0.02)
    assert abs(float(strong.mean())) < 0.002
    torch.testing.assert_close(strong, weak * 2.5, atol=1e-5, rtol=0)


def test_blur_is_scipys_in_shares_of_the_side():
    pixels = _photos(2, side=64, wide=80)
    found = corrupted(_images(pixels), "blur", 1 / 32)
    expected = ndimage.gaussian_filter(
        pixels.double().numpy(), (0, 0, 2, 2), mode="mirror", truncate=3.5
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
    assert float((found - pixels).abs().max()) > 0.05


def test_brightness_adds_to_the_value_and_keeps_the_hue():
    colour = torch.tensor([0.5, 0.25, 0.1]).view(1, 3, 1, 1).expand(40, 3, 2, 2)
    found = corrupted(_images(colour), "brightness", 0.2)
    values = found.amax(1)[:, 0, 0]
    assert sorted({round(float(value), 4) for value in values}) == [0.3, 0.7]
    assert 10 <= int((values > 0.5).sum()) <= 30
    torch.testing.assert_close(found / found.amax(1, keepdim=True), colour / 0.5)
    black = corrupted(_images(torch.zeros(40, 1, 2, 2)), "brightness", 0.2)
    assert {round(float(value), 4) for value in black.unique()} == {0.0, 0.2}


def test_rotation_is_scipys_away_from_the_edges():
    pixels = _photos(8, side=41, wide=51)
    found = corrupted(_images(pixels), "rotation", 15).numpy()
    ways = set()
    for image, turned in zip(pixels.numpy(), found, strict=True):
        errors = {
            way: np.abs(
                ndimage.rotate(image, way * 15, (1, 2), reshape=False, order=1, mode="mirror")
                - turned
            )[:, 10:-10, 10:-10].max()
            for way in (-1, 1)
        }
        way = min(errors, key=errors.get)
        assert errors[way] < 1e-4 < 0.05 < errors[-way]
        ways.add(way)
    assert ways == {-1, 1}


@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_torchvisions(channels):
    pixels = (_photos(3)[:, :channels] * 255).round()
    found = corrupted(_images(pixels / 255), "jpeg", 40) * 255
    expected = transforms.jpeg(pixels.to(torch.uint8), 40).float()
    assert float((found - expected).abs().max()) <= 3  # two builds of one library
    assert float((found - pixels).abs().max()) > 5


def test_lengths_grow_with_the_images():
    small, large = (1, 28, 28), (3, 224, 300)
    assert [amount_told("shift", strength, small) for strength in (1, 3, 5)] == [
        "1 pixel",
        "2 pixels",
        "3 pixels",
    ]
    assert amount_told("shift", 5, large) == "24 pixels"
    assert amount_told("blur", 5, small) == "standard deviation in pixels: 0.88"
    assert amount_told("blur", 5, large) == "standard deviation in pixels: 7"
    assert amount_told("jpeg", 5, large) == "quality 40"
    assert "28" not in Robustness().impossible(small) == ""
    assert "more than one pixel" in Robustness().impossible((1, 1, 1))
    assert Robustness(corruptions=("noise",)).impossible((1, 1, 1)) == ""
