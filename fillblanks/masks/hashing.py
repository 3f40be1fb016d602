"""The key of each patch: a pure function of (seed, image, draw, patch).

No random stream is involved. Every patch of every draw of every image has its own 64-bit key, so
the same seed gives the same masks on any device, in any chunk, shard or process. Keys come from
splitmix64 (Steele, Lea and Flood, OOPSLA 2014) in int64 arithmetic, in which CPU and GPU agree bit
for bit.
"""

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX2 = 0x94D049BB133111EB - (1 << 64)
_HALF = 1 << 32


def _xor_shifted(x: Tensor, bits: int) -> Tensor:
    """x ^= x >> bits, unsigned; in place, because making masks is mostly moving memory."""
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def splitmix64(state: Tensor) -> Tensor:
    """The next output of splitmix64 for each state.

    `state` is int64 of any shape. Returns int64 of that shape: the bits of the unsigned output.
    """
    x = state + _GAMMA
    x = _xor_shifted(x, 30).mul_(_MIX1)
    x = _xor_shifted(x, 27).mul_(_MIX2)
    return _xor_shifted(x, 31)


def keys(seed: int, images: Tensor, draws: Tensor, count: int) -> Tensor:
    """One key for each of `count` patches (or pixels) of each pair of image and draw.

    `seed` is any int of 64 bits, signed. `images` and `draws` are int64 (N,), on one device.
    Returns int64 (N, count). The keys of a row are `count` successive outputs of one splitmix64
    stream and therefore all different: there are no ties.

    Raises ValueError if `seed` does not fit into 64 bits.
    """
    start = torch.tensor(_as_int64(seed), dtype=torch.int64, device=images.device)
    start = splitmix64(splitmix64(splitmix64(start) ^ images) ^ draws)
    steps = torch.arange(count, dtype=torch.int64, device=images.device) * _GAMMA
    return splitmix64(start[:, None] + steps)


def uniform(patch_keys: Tensor) -> Tensor:
    """A number in (0, 1) for each key, from its upper 32 bits: float64 of the same shape."""
    return ((patch_keys >> 32).double() + (_HALF // 2 + 0.5)) / _HALF


def _as_int64(seed: int) -> int:
    if not -(1 << 63) <= seed < 1 << 63:
        raise ValueError(f"Expected a seed from -2**63 to 2**63 - 1, got {seed}.")
    return seed
