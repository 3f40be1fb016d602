"""The patch grid: how large patches are, how many there are, and which pixels each covers."""

import torch
from torch import Tensor


def default_patch_size(height: int, width: int) -> int:
    """The default side of a patch, in pixels, for images of this height and width in pixels.

    It is 2 up to 28x28 (section 4.1), then a quarter of the shorter side.
    Larger images need larger patches: a network no longer recognises a picture that is covered with
    many small black squares; docs/paper.md has the figures for 32x32 and 224x224. A quarter makes
    16 patches, of which 4 can be blank in 1,820 ways: more draws than that repeat masks.
    """
    side = min(height, width)
    return 2 if side <= 28 else max(2, side // 4)


def grid_shape(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Rows and columns of the patch grid: ceil(H / p) x ceil(W / p); patches at the edge are cut.

    All arguments are in pixels. Raises ValueError unless patch_size >= 1.
    """
    if patch_size < 1:
        raise ValueError(f"Expected patch_size >= 1, got {patch_size}.")
    return -(-height // patch_size), -(-width // patch_size)


def to_pixels(patch_values: Tensor, height: int, width: int, patch_size: int) -> Tensor:
    """The value of each pixel's patch.

    `patch_values` is (N, P) of any dtype, P = rows * columns of `grid_shape`, row by row; `height`,
    `width` and `patch_size` are in pixels. Returns (N, 1, height, width) of the same dtype.
    """
    _, columns = grid_shape(height, width, patch_size)
    row = torch.arange(height, device=patch_values.device) // patch_size
    column = torch.arange(width, device=patch_values.device) // patch_size
    patch = (row[:, None] * columns + column).flatten()
    return patch_values.index_select(1, patch).view(-1, 1, height, width)
