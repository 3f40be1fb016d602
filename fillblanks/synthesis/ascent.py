"""The step of all synthesis: the gradient of a class's logit, through what an image is made of."""

from collections.abc import Callable

import torch
from torch import Tensor

from fillblanks.classifier import predicted_class
from fillblanks.engine.engine import Engine
from fillblanks.engine.step import Logits, Step, UpdateOrder
from fillblanks.synthesis.draws import Draws
from fillblanks.synthesis.views import View, viewed

Seen = Callable[[int, Tensor, Tensor], None]  # step, image, its gradient


def raise_logit(classifier: Logits, images: Tensor, labels: Tensor | None = None) -> Step:
    """The gradient of the logit of `labels`, int64 (N,), at images (N, C, H, W).

    Without `labels` it is that of the predicted class. An image whose logits are not finite gets a
    gradient of 0.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_(True)
        logits = classifier(images)
        predicted = predicted_class(logits.detach())
        label = predicted.clamp(min=0) if labels is None else labels
        (gradient,) = torch.autograd.grad(logits.gather(1, label[:, None]).sum(), images)
    finite = gradient.flatten(1).isfinite().all(1)[:, None, None, None]
    return Step(torch.where(finite, gradient, 0), predicted, label)


RAISE_LOGIT = UpdateOrder(raise_logit, capturable=True, reducible=False)


def ascend(
    engine: Engine,
    parameters: Tensor,
    image_of: Callable[[Tensor], Tensor],
    labels: Tensor,
    draws: Draws,
    *,
    view: View | None,
    noise: float,
    steps: int,
    rate: float,
    seen: Seen | None = None,
) -> Tensor:
    """Parameters after `steps` steps that raise the logit of each image's label.

    `parameters` (N, ...) become images by `image_of`. Each step sees its own view of them and
    normal noise of standard deviation `noise`. NAdam (Dozat 2016) with the learning rate `rate`
    takes the steps. `seen` is given each step's images and their gradients.
    """
    with torch.inference_mode(False), torch.enable_grad():
        parameters = parameters.detach().clone().requires_grad_(True)
        optimiser = torch.optim.NAdam([parameters], lr=rate)
        for step in range(steps):
            images = image_of(parameters)
            looked_at = images
            if view is not None:
                matrices = view.matrices(draws, step, images.shape)
                looked_at = viewed(images, *(one.to(images.dtype) for one in matrices))
            given = looked_at.detach()
            if noise:
                drawn = draws.normal("noise", step, given[0].numel(), given.dtype)
                given = given + noise * drawn.view_as(given)
            gradient = engine.steps(given, labels, RAISE_LOGIT).update.to(given.dtype)
            wanted = (parameters,) if seen is None else (parameters, images)
            found = torch.autograd.grad(looked_at, wanted, grad_outputs=-gradient)
            if seen is not None:
                seen(step, images.detach(), -found[1])
            parameters.grad = found[0]
            optimiser.step()
    return parameters.detach()
