"""delta-x of second order: a quasi-Newton direction at a masked image (section 4.5)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks.classifier import predicted_class
from fillblanks.engine.step import Logits, Step

ITERATIONS = 5
LEAST_PASSES = 2 + 3 * ITERATIONS  # of an update, if no step is halved
_HALVINGS = 20
MOST_PASSES = 2 + (2 + _HALVINGS) * ITERATIONS
_DECREASE = 1e-4  # of the decrease that the slope promises (Armijo; Nocedal and Wright, eq. 3.4)
_CURVATURE = 1e-10  # least cosine between a step and its change of gradient (skipped below)


def second_order(
    classifier: Logits,
    masked: Tensor,
    labels: Tensor | None = None,
    *,
    iterations: int = ITERATIONS,
) -> Step:
    """The update p with B p = -grad CE(f(M(x)), label) at M(x), B by BFGS (section 4.5).

    B begins as a multiple of the identity and is updated by `iterations` steps of BFGS on that
    loss, from M(x) (Nocedal and Wright, Numerical Optimization, 6.1 and eq. 6.20). It is kept as
    the steps that it consists of, so that memory grows with `iterations` and not with the square of
    the pixels. An update takes 2 + 3 * iterations passes or more. The other arguments and the
    result are those of `first_order`; the rows of a batch do not touch.

    Raises ValueError unless iterations >= 1.
    """
    if iterations < 1:
        raise ValueError(f"Expected iterations >= 1, got {iterations}.")
    shape = masked.shape
    with torch.inference_mode(False), torch.no_grad():
        point = masked.detach().clone().flatten(1)
        logits = classifier(masked.detach())
        predicted = predicted_class(logits)
        label = predicted.clamp(min=0) if labels is None else labels

        def value(x: Tensor) -> Tensor:
            logits = classifier(x.view(shape))
            return functional.cross_entropy(logits, label, reduction="none")

        def slope(x: Tensor) -> Tensor:
            with torch.enable_grad():
                x = x.detach().clone().requires_grad_(True)
                (gradient,) = torch.autograd.grad(value(x).sum(), x)
            return gradient

        start = gradient = slope(point)
        inverse = InverseHessian()
        length = (1 / gradient.norm(dim=1, keepdim=True)).clamp(max=1)
        for _ in range(iterations):
            direction = -inverse.times(gradient)
            step = _shortened(value, point, direction, gradient, length)
            point = point + step
            before, gradient = gradient, slope(point)
            inverse.add(step, gradient - before)
            length = torch.ones_like(length)
        update = -inverse.times(start)
    return Step(update.view(shape), predicted, label)


class InverseHessian:
    """The inverse of N matrices B of BFGS, (D, D) each, kept as the steps that they consist of.

    It begins as the identity. The first step that counts scales it (Nocedal and Wright, eq. 6.20).
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self._scale: Tensor | float = 1.0  # of the identity, from a row's first step that counts
        self._scaled: Tensor | bool = False

    def add(self, step: Tensor, change: Tensor) -> None:
        """Updates each row with a step and the change of gradient along it.

        `step`, in units of pixel value, and `change`, of the gradient from the beginning of the
        step to its end, are float (N, D), N the same at each call. Each row is updated as in BFGS
        (Nocedal and Wright, eq. 6.17), unless the cosine between its step and its change is at most
        1e-10: the loss does not curve upwards along such a step, and B would not stay positive
        definite. Such a row keeps its matrix; so does a row whose step is 0.
        """
        product = _dot(step, change)
        large = step.norm(dim=1, keepdim=True) * change.norm(dim=1, keepdim=True)
        curved = product > _CURVATURE * large
        first = curved & ~torch.as_tensor(self._scaled)
        self._scale = torch.where(first, product / _dot(change, change), self._scale)
        self._scaled = curved | self._scaled
        self._pairs.append((step, change, torch.where(curved, 1 / product, 0)))

    def times(self, gradient: Tensor) -> Tensor:
        """B^-1 gradient for each row, in two loops (Nocedal and Wright, algorithm 7.4).

        `gradient` is float (N, D); returns (N, D).
        """
        shares = []
        for step, change, inverse in reversed(self._pairs):
            share = inverse * _dot(step, gradient)
            gradient = gradient - share * change
            shares.append(share)
        gradient = self._scale * gradient
        for (step, change, inverse), share in zip(self._pairs, reversed(shares), strict=True):
            gradient = gradient + step * (share - inverse * _dot(change, gradient))
        return gradient


def _shortened(
    value: Callable[[Tensor], Tensor],
    point: Tensor,
    direction: Tensor,
    gradient: Tensor,
    length: Tensor,
) -> Tensor:
    """The step along `direction`, halved until the loss has fallen; 0 if the loss never falls."""
    start, promised = value(point)[:, None], _dot(gradient, direction)
    step = torch.zeros_like(point)
    open_ = torch.ones_like(length, dtype=torch.bool)
    for _ in range(_HALVINGS):
        tried = length * direction
        fallen = value(point + tried)[:, None] <= start + _DECREASE * length * promised
        step = torch.where(open_ & fallen, tried, step)
        open_ &= ~fallen
        if not open_.any():
            break
        length = length / 2
    return step


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(1, keepdim=True)
