"""Methods that make maps: ours, captum's with a gradient, and the update of the fill."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from captum.attr import IntegratedGradients, Saliency
from torch import Tensor

from audits.checks._shared.maps import Baseline, Method, MethodName
from fillblanks import Classifier, Plan, expected_fill
from fillblanks.attribution.asking import probabilities_of

SEED = 0
_VALUES = 1 << 19  # in the images of a chunk: some hundred MiB with a gradient at 224x224


def chunk_of(images: Tensor) -> int:
    """Images in one pass."""
    return max(4, _VALUES // images[0].numel())


class Contender(NamedTuple):
    """One method; `maps` gives maps (n, H, W) of images (n, C, H, W) and labels (n,)."""

    name: str
    passes: int  # an image
    maps: Callable[[Classifier, Tensor, Tensor], Tensor]
    gradient: bool = False


def ours(
    name: MethodName,
    side: int,
    patch_size: int,
    *,
    draws: int = 1,
    radius: float = 0.2,
    stride: float = 0.08,
    baseline: Baseline = "black",
    told: str = "",
) -> Contender:
    """A method of the check `evidence`."""
    method = Method(name, patch_size, draws, 0.25, radius, stride, baseline)

    def maps(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        with classifier.steady():
            return method.maps(
                probabilities_of(classifier),
                images,
                labels,
                seed=SEED,
                indices=torch.arange(len(images)),
                chunk=chunk_of(images),
            )

    return Contender(told or name, method.passes(side, side), maps)


def integrated_gradients(steps: int) -> Contender:
    def maps(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        method = IntegratedGradients(lambda x: classifier(x).softmax(1))
        chunk = chunk_of(images)
        found = method.attribute(images, 0.0, labels, n_steps=steps, internal_batch_size=chunk)
        return found.sum(1).detach()

    return Contender("integrated gradients (captum)", steps, maps, gradient=True)


def saliency() -> Contender:
    def maps(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        given = images.clone().requires_grad_(True)
        return Saliency(classifier).attribute(given, labels).amax(1).detach()

    return Contender("saliency (captum)", 1, maps, gradient=True)


def update_of_the_fill(draws: int, patch_size: int) -> Contender:
    """The magnitude of the average update: what the fill draws, which is no attribution."""

    def maps(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        fill = expected_fill(
            classifier,
            images,
            labels,
            patch_size=patch_size,
            samples=draws,
            max_draws=draws,
            seed=SEED,
            plan=Plan(chunk=chunk_of(images)),
        )
        return fill.update.abs().sum(1).nan_to_num(0)

    return Contender("size of the fill's update", draws, maps, gradient=True)
