"""Which pixels are blank: keys of patches, the patch grid, blanks, groups.

Masks are pure functions of (seed, image, draw, patch): hashing.py makes the keys, blanks.py chooses
patches by them, grid.py spreads patches over pixels. May import torch and numpy, nothing of
fillblanks. The functions that other packages use are importable from here.
"""

from fillblanks.masks.blanks import (
    blank_count,
    blank_patches,
    expect_groups,
    fill_groups,
    fill_regions,
)
from fillblanks.masks.grid import default_patch_size, grid_shape, to_pixels
from fillblanks.masks.hashing import keys, splitmix64, uniform

__all__ = [
    "blank_count",
    "blank_patches",
    "default_patch_size",
    "expect_groups",
    "fill_groups",
    "fill_regions",
    "grid_shape",
    "keys",
    "splitmix64",
    "to_pixels",
    "uniform",
]
