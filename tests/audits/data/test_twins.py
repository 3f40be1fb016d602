"""Copies are found, however they were stored again; different images are not copies."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from audits.data import twins
from audits.data.built import of_arrays
from audits.data.fit import Fit
from audits.data.sources import Digits, load
from audits.data.twins import NEIGHBOURS, neighbours, thumbnails

SIDE = 96


def photos(n=80, seed=0):
    """Smooth images in colour, uint8 (n, 96, 96, 3), with details of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        ndimage.gaussian_filter(rng.normal(size=(n, SIDE, SIDE, 3)), (0, size, size, 0)) * size
        for size in (2, 6, 16)
    ]
    sums = np.sum(layers, axis=0)
    low, high = sums.min((1, 2, 3), keepdims=True), sums.max((1, 2, 3), keepdims=True)
    return ((sums - low) / (high - low) * 255).round().astype(np.uint8)


PHOTOS = photos()


def _as_jpeg(image, quality=50):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def _resized(image):
    small = Image.fromarray(image).resize((60, 60), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


CHANGES = {
    "exact": lambda image: image,
    "JPEG": _as_jpeg,
    "resized": _resized,
    "brighter": lambda image: (image.astype(int) + 30).clip(0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "mirrored": lambda image: image[:, ::-1],
    "moved": lambda image: np.pad(image, ((3, 0), (4, 0), (0, 0)), "reflect")[:SIDE, :SIDE],
    "noisy": lambda image: (
        (image + np.random.default_rng(1).normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
    ),
}


def thumbs_of(images):
    data = of_arrays("images", images, np.zeros(len(images), int), ("one",))
    return thumbnails(data, range(len(images)), 1 if images.ndim == 3 else images.shape[3])


def found_in(images, others=None):
    """Sets of positions of the copies of each image."""
    result = neighbours(thumbs_of(images), None if others is None else thumbs_of(others))
    return [
        set(positions[hits].tolist())
        for positions, hits in zip(result.position, result.is_twin, strict=True)
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change):
    copies = np.stack([CHANGES[change](image) for image in PHOTOS[:10]])
    found = found_in(np.concatenate([PHOTOS, copies]))
    assert found[:10] == [{80 + n} for n in range(10)]
    assert found[80:] == [{n} for n in range(10)]
    assert found[10:80] == [set()] * 70
    leaked = found_in(np.concatenate([copies, PHOTOS[20:30]]), PHOTOS[:20])
    assert leaked == [{n} for n in range(10)] + [set()] * 10


def test_only_copies_of_the_mirrored_image_are_called_mirrored():
    result = neighbours(thumbs_of(np.concatenate([PHOTOS, PHOTOS[:2, :, ::-1], PHOTOS[2:4]])))
    at = [result.position[n].tolist().index(80 + n) for n in range(4)]
    assert [bool(result.mirrored[n, k]) for n, k in enumerate(at)] == [True, True, False, False]


def test_of_different_digits_hardly_any_are_called_copies():
    digits = load(Digits(split="train"))
    thumbs = thumbnails(digits, range(1000), 1)
    apart = neighbours(thumbs).is_twin.any(1)
    assert apart.mean() < 0.01
    planted = neighbours(thumbs[:100], torch.cat([thumbs[500:], thumbs[:100]]))
    own = planted.position == 500 + np.arange(100)[:, None]
    assert (planted.is_twin & own).any(1).all()


def test_more_copies_than_neighbours_are_all_copies():
    many = np.concatenate([PHOTOS, np.repeat(PHOTOS[:1], 2 * NEIGHBOURS, axis=0)])
    found = found_in(many)
    assert all(found[n] for n in (0, *range(80, 80 + 2 * NEIGHBOURS)))
    assert found[1:80] == [set()] * 79
    assert all(found_in(np.repeat(PHOTOS[:1], 2 * NEIGHBOURS, axis=0)))


def test_changed_copies_that_are_more_than_the_neighbours_are_found():
    dimmed = [
        np.clip(PHOTOS[:20] * (0.8 + n / 80) + 2 * n, 0, 255).astype(np.uint8)
        for n in range(NEIGHBOURS + 2)
    ]
    assert all(found_in(PHOTOS[:20], np.concatenate([*dimmed, PHOTOS[20:]])))
    assert not any(found_in(PHOTOS[:20], PHOTOS[20:]))


@pytest.mark.parametrize("count", [NEIGHBOURS - 1, NEIGHBOURS, NEIGHBOURS + 1])
def test_all_others_may_be_copies(count):
    assert all(found_in(np.repeat(PHOTOS[:1], count + 1, axis=0)))
    assert all(found_in(PHOTOS[:1], np.repeat(PHOTOS[:1], count, axis=0)))


def test_images_of_one_colour_are_no_copies_of_anything():
    flat = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (0, 90, 91, 255)])
    assert found_in(np.concatenate([PHOTOS, flat]))[80:] == [set()] * 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_compared(count):
    assert found_in(PHOTOS[:count]) == [set()] * count
    assert found_in(np.repeat(PHOTOS[:1], count + 1, axis=0))[0]


def test_the_same_shape_in_another_colour_is_no_copy():
    grey = PHOTOS.mean(3, keepdims=True).astype(np.uint8)
    red, blue = (grey * np.array(colour, np.uint8) for colour in ((1, 0, 0), (0, 0, 1)))
    images = np.concatenate([red, blue[:5]])
    assert found_in(images) == [set()] * 85


def test_blocks_find_what_one_block_finds(monkeypatch):
    thumbs = thumbs_of(np.concatenate([PHOTOS, PHOTOS[:7]]))
    whole = neighbours(thumbs), neighbours(thumbs[:30], thumbs[30:])
    monkeypatch.setattr(twins, "_AT_ONCE", 16)
    blocks = neighbours(thumbs), neighbours(thumbs[:30], thumbs[30:])
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_allclose(one.distance, other.distance, atol=1e-5)
        np.testing.assert_array_equal(one.is_twin, other.is_twin)
        # Exact copies, 80 apart, are equally near: they may change places.
        np.testing.assert_array_equal(np.sort(one.position % 80), np.sort(other.position % 80))


def test_the_distance_is_one_minus_numpys_correlation():
    thumbs = thumbs_of(PHOTOS[:12])
    result = neighbours(thumbs)
    pooled = thumbs.double().mean(1).reshape(12, 16, 2, 16, 2).mean((2, 4)).numpy()
    flipped = thumbs.flip(3).double().mean(1).reshape(12, 16, 2, 16, 2).mean((2, 4)).numpy()
    for row in range(12):
        for position, distance in zip(result.position[row], result.distance[row], strict=True):
            plain, mirror = (
                np.corrcoef(side[row].ravel(), pooled[position].ravel())[0, 1]
                for side in (pooled, flipped)
            )
            if 1 - max(plain, mirror) >= 0.51:  # these are not moved
                assert distance == pytest.approx(1 - max(plain, mirror), abs=1e-5)


def test_thumbnails_are_of_the_fitted_images():
    data = of_arrays("images", PHOTOS[:2], np.zeros(2, int), ("one",))
    fitted = data.for_model(None, Fit(channels=3, height=48, width=64, resize="crop"))
    thumbs = thumbnails(fitted, [1], 3)
    middle = Image.fromarray(PHOTOS[1][12:84]).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(thumbs[0].permute(1, 2, 0).numpy() - np.asarray(middle).astype(int)).mean() < 3
    assert thumbnails(fitted, [0, 1], 1).shape == (2, 1, 32, 32)
