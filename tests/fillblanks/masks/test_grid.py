"""Each pixel belongs to one patch, and larger images have larger patches by default."""

import pytest
import torch

from fillblanks import Classifier, expected_fill, fill_regions, masks

SIZES = [(28, 28, 2), (29, 31, 4), (29, 31, 3), (5, 1, 1), (7, 16, 5)]


@pytest.mark.parametrize(("height", "width", "patch_size"), SIZES)
def test_each_pixel_has_the_value_of_its_patch(height, width, patch_size):
    columns = -(-width // patch_size)
    patches = -(-height // patch_size) * columns
    pixels = masks.to_pixels(torch.arange(patches)[None], height, width, patch_size)
    assert pixels.shape == (1, 1, height, width)
    assert pixels[0, 0].tolist() == [
        [r // patch_size * columns + c // patch_size for c in range(width)] for r in range(height)
    ]


@pytest.mark.parametrize("patch_size", [0, -2])
def test_a_patch_size_below_one_is_refused(patch_size):
    with pytest.raises(ValueError, match=f"Expected patch_size >= 1, got {patch_size}"):
        masks.grid_shape(28, 28, patch_size)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(8, 8, 2), (28, 28, 2), (32, 32, 8), (300, 224, 56)]
)
def test_larger_images_have_larger_patches_unless_told(height, width, size):
    assert masks.default_patch_size(height, width) == size
    images = torch.rand(1, 1, height, width)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(height * width, 3))
    told, untold = (
        expected_fill(Classifier(net), images, samples=2, **options)
        for options in ({"patch_size": size}, {})
    )
    assert torch.equal(told.masked, untold.masked)
    told, untold = (
        fill_regions(images, groups=3, seed=1, indices=torch.zeros(1).long(), **options)
        for options in ({"patch_size": size}, {})
    )
    assert torch.equal(told, untold)
