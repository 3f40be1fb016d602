"""Step: the result of one pass; UpdateOrder: how an engine is told to compute it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

Logits = Callable[[Tensor], Tensor]  # images (N, C, H, W) in [0, 1] -> logits (N, K)


class Step(NamedTuple):
    """The result of one pass over N masked images."""

    update: Tensor  # (N, C, H, W)
    predicted: Tensor  # int64 (N,), the predicted class of the masked image; -1: not finite
    label: Tensor  # int64 (N,), the class whose loss the update lowers


@dataclass(frozen=True)
class UpdateOrder:
    """A way to compute the update, and which plans it allows.

    `step` takes the function that gives the logits, masked images (N, C, H, W) and labels (int64
    (N,), or None for the predicted classes). The rows of a batch do not touch.
    """

    step: Callable[[Logits, Tensor, Tensor | None], Step]
    capturable: bool  # its kernels are the same whatever the values, so a CUDA graph can hold them
    reducible: bool  # its averages can be taken in reduced precision
