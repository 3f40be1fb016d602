"""delta-x: how the network would change a masked image to make a label likelier."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks.classifier import predicted_class

Update = Literal["first_order", "second_order"]


class Step(NamedTuple):
    """What one pass over masked images gives."""

    update: Tensor  # (N, C, H, W)
    predicted: Tensor  # int64 (N,), the predicted class of the masked image; -1: not finite
    label: Tensor  # int64 (N,), the class whose loss the update lowers


def first_order(
    classifier: Callable[[Tensor], Tensor], masked: Tensor, labels: Tensor | None = None
) -> Step:
    """The first-order update -grad CE(f(M(x)), label) at M(x) (Eq. 2).

    `classifier` is a Classifier, or any function from images to logits. `masked` is (N, C, H, W) in
    [0, 1]; `labels` int64 (N,), or None for each image's own predicted class. The rows of a batch
    do not touch: each row's update is that of its image alone.
    """
    with torch.inference_mode(False), torch.enable_grad():
        masked = masked.detach().clone().requires_grad_(True)
        logits = classifier(masked)
        predicted = predicted_class(logits.detach())
        label = predicted.clamp(min=0) if labels is None else labels
        loss = functional.cross_entropy(logits, label, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, masked)
    return Step(-gradient, predicted, label)
