"""Steps: the operations to which a network is reduced, so that it can be bounded.

All tensors are float64 and have a first axis for rows: one row in values and intervals, several in
coefficients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Interval(NamedTuple):
    """Least and largest values, float64 (1, ...)."""

    low: Tensor
    high: Tensor

    @property
    def size(self) -> Tensor:
        """The largest absolute value."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def widened(self, by: Tensor) -> "Interval":
        return Interval(self.low - by, self.high + by)

    def within(self, other: "Interval") -> "Interval":
        """What both allow."""
        return Interval(torch.maximum(self.low, other.low), torch.minimum(self.high, other.high))


@dataclass(frozen=True)
class Images:
    """The pixels of the image, in [0, 1]."""

    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Affine:
    """A linear operation of earlier steps, plus a constant.

    `apply` takes the values of `inputs` and gives the linear part; `absolute` does the same with
    absolute weights. `terms` is the number of products that a value is the sum of in the network;
    0: the network does not round it. `back` takes coefficients (rows, ...) of the values and gives
    those of the inputs; by default the derivative of `apply` does so. `spare` is added to the sum
    of the absolute values of all terms, if parts of the constant cancel. If the value is the
    maximum of some steps, `largest_of` names them, which gives tighter intervals.
    """

    inputs: tuple[int, ...]
    apply: Callable[..., Tensor]
    absolute: Callable[..., Tensor]
    constant: Tensor | None = None
    spare: Tensor | None = None
    terms: int = 0
    back: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    largest_of: tuple[int, ...] = ()

    def moved(self, values: Tensor) -> Tensor:
        """The linear part plus the constant."""
        return values if self.constant is None else values + self.constant

    def magnitude(self, sizes: list[Tensor]) -> Tensor:
        """The largest sum of the absolute values of all terms, from those of the inputs."""
        found = self.absolute(*sizes)
        for more in (self.constant, self.spare):
            found = found if more is None else found + more.abs()
        return found

    def transposed(self, coefficients: Tensor, shapes: list[Shape]) -> tuple[Tensor, ...]:
        """The coefficients of the inputs, whose values have these shapes without rows."""
        if self.back is not None:
            return self.back(coefficients)
        rows = len(coefficients)
        with torch.enable_grad():
            zeros = [coefficients.new_zeros(rows, *shape).requires_grad_() for shape in shapes]
            made = self.apply(*zeros)
            again = coefficients.requires_grad
            return torch.autograd.grad(made, zeros, coefficients, create_graph=again)


@dataclass(frozen=True)
class Relu:
    """max(z, 0) of each value."""

    inputs: tuple[int]


Step = Images | Affine | Relu


@dataclass(frozen=True)
class Program:
    """A network as steps in the order in which they are computed; the last gives the logits.

    `shapes` are those of the values without the axis of rows, `dtype` and `device` are those of the
    network.
    """

    steps: tuple[Step, ...]
    shapes: tuple[Shape, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def activations(self) -> int:
        """How many values go through a ReLU, or one of those that a maximum is made of."""
        return sum(
            torch.Size(shape).numel()
            for step, shape in zip(self.steps, self.shapes, strict=True)
            if isinstance(step, Relu)
        )

    def shapes_of(self, step: Step) -> list[Shape]:
        """The shapes of the inputs of a step."""
        return [self.shapes[i] for i in step.inputs]
