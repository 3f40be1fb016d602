"""delta-x of first order: the gradient that makes a label likelier for a masked image (Eq. 2)."""

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks.classifier import predicted_class
from fillblanks.engine.step import Logits, Step


def first_order(classifier: Logits, masked: Tensor, labels: Tensor | None = None) -> Step:
    """The first-order update -grad CE(f(M(x)), label) at M(x) (Eq. 2).

    `classifier` is a Classifier, or any function from images (N, C, H, W) to logits (N, K).
    `masked` is float (N, C, H, W) in [0, 1]; `labels` is int64 (N,), 0 to K-1, or None for each
    image's own predicted class. The rows of a batch do not touch: each row's update is that of its
    image alone.

    Returns a Step: `update` (N, C, H, W), the change of the loss per unit of pixel value, with
    opposite sign; `predicted` and `label`, int64 (N,).
    """
    with torch.inference_mode(False), torch.enable_grad():
        masked = masked.detach().clone().requires_grad_(True)
        logits = classifier(masked)
        predicted = predicted_class(logits.detach())
        label = predicted.clamp(min=0) if labels is None else labels
        loss = functional.cross_entropy(logits, label, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, masked)
    return Step(-gradient, predicted, label)
