"""Keeps the class that a model answers: rounding makes numbers equal that are nearly so.

Of equal numbers the first one counts as the largest, here and for most servers. A model could
answer one class in its own precision and, after rounding, another one here.
"""

import torch
from torch import Tensor


def in_float32(values: Tensor) -> Tensor:
    """A table (N, K) in float32, each row with its largest number where it was."""
    return with_largest_at(values.argmax(1), values.float())


def with_largest_at(places: Tensor, rounded: Tensor) -> Tensor:
    """Floats (N, K) in which row i has its largest number at `places[i]`.

    If another number is the largest in `rounded`, or an equal one that stands before it, that of
    the place gets a slightly larger float. Its gradient stays as it was.
    """
    wanted = torch.arange(rounded.shape[1], device=rounded.device) == places.unsqueeze(1)
    other = (rounded.argmax(1) != places).unsqueeze(1)
    most = rounded.detach().amax(1, keepdim=True)
    info = torch.finfo(rounded.dtype)
    higher = most + (most.abs() * info.eps + info.tiny)  # no nextafter: exported networks lack it
    return torch.where(wanted & other, rounded + (higher - rounded).detach(), rounded)
