"""Which patches are blank: a pure function of (seed, image, draw, patch).

Nothing here is a random stream. Every patch of every draw of every image has its own 64-bit key, so
the same seed gives the same masks on any device, in any chunk, shard or process. Keys come from
splitmix64 (Steele, Lea and Flood, OOPSLA 2014) in int64 arithmetic, which CPU and GPU do alike.
"""

import numpy as np
import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX2 = 0x94D049BB133111EB - (1 << 64)


def _xor_shifted(x: Tensor, bits: int) -> Tensor:
    """x ^= x >> bits, unsigned; in place, since making masks is mostly moving memory."""
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def splitmix64(state: Tensor) -> Tensor:
    """Next output of splitmix64 for each state: int64 in, int64 out (the unsigned value's bits)."""
    x = state + _GAMMA
    x = _xor_shifted(x, 30).mul_(_MIX1)
    x = _xor_shifted(x, 27).mul_(_MIX2)
    return _xor_shifted(x, 31)


def keys(seed: int, images: Tensor, draws: Tensor, count: int) -> Tensor:
    """One key for each of `count` patches (or pixels) of each (image, draw).

    `images` and `draws` are int64 (N,); returns int64 (N, count). The keys of a row are `count`
    successive outputs of one splitmix64 stream, hence all different: there are no ties.
    """
    start = torch.tensor(_as_int64(seed), dtype=torch.int64, device=images.device)
    start = splitmix64(splitmix64(splitmix64(start) ^ images) ^ draws)
    steps = torch.arange(count, dtype=torch.int64, device=images.device) * _GAMMA
    return splitmix64(start[:, None] + steps)


def _as_int64(seed: int) -> int:
    if not -(1 << 63) <= seed < 1 << 63:
        raise ValueError(f"Expected a seed from -2**63 to 2**63 - 1, got {seed}.")
    return seed


def default_patch_size(height: int, width: int) -> int:
    """Pixels of a patch for images of this size: 2 up to 28x28 (section 4.1), then a quarter.

    Larger images need larger patches: a network no longer knows a picture that is covered with
    many small black squares; docs/paper.md has the figures for 32x32 and 224x224. That makes 16
    patches, of which a quarter can be blank in 1,820 ways: more draws than that repeat masks.
    """
    side = min(height, width)
    return 2 if side <= 28 else max(2, side // 4)


def grid_shape(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Rows and columns of the patch grid: ceil(H / p) x ceil(W / p); edge patches are cut."""
    if patch_size < 1:
        raise ValueError(f"Expected patch_size >= 1, got {patch_size}.")
    return -(-height // patch_size), -(-width // patch_size)


def blank_count(mask_ratio: float, patches: int) -> int:
    """m = round(mask_ratio * P) patches are blank (halves to even); at least 1, at most P - 1."""
    if patches < 2:
        raise ValueError("Expected at least 2 patches an image, got 1. Take a smaller patch_size.")
    count = round(mask_ratio * patches)
    if not 0 < count < patches:
        raise ValueError(
            f"Expected a mask_ratio that blanks 1 to {patches - 1} of {patches} patches, got "
            f"{mask_ratio}, which blanks {count}. Change mask_ratio or take a smaller patch_size."
        )
    return count


def blank_patches(patch_keys: Tensor, count: int) -> Tensor:
    """The `count` smallest keys of each row are blank: (N, P) keys -> (N, P) bool, True = blank."""
    # A selection, not a sort, which is 4-6 times slower; numpy's is 5 times faster than torch's.
    if patch_keys.device.type == "cpu":
        selected = np.partition(patch_keys.numpy(), count - 1, axis=1)[:, count - 1 : count]
        return patch_keys <= torch.from_numpy(selected)
    return patch_keys <= patch_keys.kthvalue(count, dim=1, keepdim=True).values


def fill_groups(patch_keys: Tensor, groups: int) -> Tensor:
    """A random partition of the patches into k groups (4.2): rank * k // P, int64 (N, P)."""
    patches = patch_keys.shape[1]
    if not 1 < groups <= patches:
        raise ValueError(f"Expected 2 to {patches} groups for {patches} patches, got {groups}.")
    ranks = patch_keys.argsort(dim=1).argsort(dim=1)
    return ranks * groups // patches


def to_pixels(patch_values: Tensor, height: int, width: int, patch_size: int) -> Tensor:
    """Values on the patch grid, (N, P), spread over their pixels: (N, 1, H, W)."""
    _, columns = grid_shape(height, width, patch_size)
    row = torch.arange(height, device=patch_values.device) // patch_size
    column = torch.arange(width, device=patch_values.device) // patch_size
    patch = (row[:, None] * columns + column).flatten()
    return patch_values.index_select(1, patch).view(-1, 1, height, width)
