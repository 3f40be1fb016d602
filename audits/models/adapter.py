"""AdaptedNet: a network in a wrapper that feeds it as it expects and turns its answers to logits.

BlackBox is the base of networks that have no gradient at their input and say so. OwnThreads are
networks with threads of their own, OwnRuntime those that a runtime of their own answers.
"""

from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from audits.models.form import Ability, Adaptation, Bounds, taken
from audits.models.further_parts import expect_same_classes
from audits.models.winner import in_float32, with_largest_at

# The errors that a network, or code that traces it, may raise for inputs that it does not take.
NETWORK_ERRORS = (
    RuntimeError,
    AssertionError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
)


class OwnThreads(Protocol):
    """A network that computes with threads of its own, whose number torch does not set."""

    stated_threads: int  # the number with which the model is served by its files; 0 if unknown

    def on_threads(self, count: int) -> AbstractContextManager[None]:
        """Prepares answers with `count` threads; the network gives them inside the context.

        Raises ModelRefused if they cannot be prepared.
        """


class OwnRuntime(Protocol):
    """A network that a runtime of its own answers, whose memory torch does not see."""

    def afresh(self) -> AbstractContextManager[None]:
        """Opens the model again, as a server does; inside the context that one answers."""

    def in_torch(self) -> AbstractContextManager[bool]:
        """Inside, torch answers in place of the runtime; False if it cannot."""


def own_threads(net: nn.Module) -> list[OwnThreads]:
    """The networks inside `net` that say by their class that they are OwnThreads.

    An attribute does not count, since a file may bring it.
    """
    found: list[Any] = [one for one in net.modules() if hasattr(type(one), "on_threads")]
    return found


def own_runtimes(net: nn.Module) -> list[OwnRuntime]:
    """The networks inside `net` that say by their class that they are OwnRuntime."""
    found: list[Any] = [one for one in net.modules() if hasattr(type(one), "afresh")]
    return found


class BlackBox(nn.Module):
    """Base of networks that are known to have no gradient at their input.

    `forward` maps float images (N, C, H, W) to what `gives` names: "predictions", whole numbers
    (N,); "probabilities" or "logits", floats (N, K). Both may be on the CPU whatever the images'
    device.
    """

    gives: ClassVar[Ability] = "predictions"


class AdaptedNet(nn.Module):
    """`net` as a function from float images (N, C, H, W) to logits (N, K).

    `classes` is K, needed for a network that gives predicted classes alone: the predicted class
    gets the logit 0 and every other class -1; a class outside 0 to K-1 gives a row of NaN.
    """

    def __init__(self, net: nn.Module, adaptation: Adaptation, classes: int = 0):
        super().__init__()
        self.net = net
        self.adaptation = adaptation
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W)."""
        bounds = self.adaptation.outputs.bounds
        if bounds == Bounds():  # no comparison, which would fix the batch when this is exported
            return self._logits(images)
        least, most = bounds
        if least <= len(images) <= (most or len(images)):
            return self._logits(images)
        pieces = images.split(most or len(images))
        answers = [self._logits(filled_up(one, max(least, len(one)))) for one in pieces]
        return torch.cat(answers)[: len(images)]

    def _logits(self, images: Tensor) -> Tensor:
        form = self.adaptation.outputs
        output = self.net(self.adaptation.inputs.given(images))
        values = taken(output, form.container)
        if not (isinstance(output, Tensor) or torch.compiler.is_compiling()):
            expect_same_classes(output, self._scores_of_classes(values, len(images)))
        if values.device != images.device:
            values = values.to(images.device)
        if form.shape != "(N, K)":
            values = values.reshape(len(images), -1)
        if form.scale == "classes":
            return scores_of(values, self.classes).to(images.dtype)
        if not values.is_floating_point():
            values = in_float32(values)
        elif torch.finfo(values.dtype).bits < 32:
            values = values.float()
        tiny = torch.finfo(values.dtype).tiny
        if form.columns == "one probability":
            values = values.clamp_min(tiny).log() - (1 - values).clamp_min(tiny).log()
        elif form.scale == "probabilities":
            return with_largest_at(values.argmax(1), values.clamp_min(tiny).log())
        if form.columns != "K":
            return torch.cat([torch.zeros_like(values), values], dim=1)
        return values

    def _scores_of_classes(self, values: Tensor, rows: int) -> Tensor:
        """Numbers (N, K) of the taken part, of which the largest is of the predicted class."""
        form = self.adaptation.outputs
        values = values.reshape(rows, -1)
        if form.scale == "classes":
            return scores_of(values, self.classes)
        if form.columns == "K":
            return values
        bound = torch.full_like(values, 0.5 if form.columns == "one probability" else 0)
        return torch.cat([bound, values], dim=1)


def filled_up(images: Tensor, size: int) -> Tensor:
    """The images (N, ...), 0 < N <= size, with copies of the last up to `size`."""
    missing = size - len(images)
    return (
        torch.cat([images, images[-1:].expand(missing, *images.shape[1:])]) if missing else images
    )


def scores_of(predicted: Tensor, classes: int) -> Tensor:
    """0 for the predicted class, -1 for the others, (N, K); NaN if there is no such class."""
    predicted = predicted.reshape(-1, 1).long()
    scores = (torch.arange(classes, device=predicted.device) == predicted).float() - 1
    known = (predicted >= 0) & (predicted < classes)
    return torch.where(known, scores, torch.nan)
