"""Fill: the result of a fill, and how the results of windows of images are joined."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fillblanks.engine.engine import Engine
from fillblanks.engine.plan import Plan
from fillblanks.fills.inputs import FillInput

ToFill = Callable[[Tensor, Tensor], Tensor]  # `threshold` with its options: update, blank -> fill


@dataclass(frozen=True)
class Fill:
    """The fills of N images; every tensor is on the CPU, floats in the dtype of the network.

    Comments say which values are of `expected_fill` (4.1) or of `progressive_fill` (4.2) only. An
    image without an accepted draw is a miss: its update, prototype and composite are NaN (4.1), its
    `masked` is the first draw.
    """

    update: Tensor  # (N, C, H, W): the average (4.1); of each pixel's own step (4.2)
    standard_error: Tensor  # (N, C, H, W), of `update`; NaN if fewer than two draws count
    stability: (
        Tensor  # float64 (N,): overlap of the prototypes of two halves of the draws; 4.2: NaN
    )
    prototype: Tensor  # (N, C, H, W) in [0, 1]: T over all pixels; 4.2: the wholly filled image
    composite: Tensor  # (N, C, H, W) in [0, 1]: `masked` with its blanks filled
    masked: Tensor  # (N, C, H, W): the first accepted M(x); 4.2: the first masked image
    blank: Tensor  # bool (N, 1, H, W): the blanks of `masked`
    label: Tensor  # int64 (N,): prediction for the masked image; 4.1: for the accepted draws
    accepted: Tensor  # int64 (N,): draws whose prediction was the reference label; 4.2: 0 or 1
    drawn: Tensor  # int64 (N,): draws made, the last accepted draw included; 4.2: 1
    steps: Tensor  # (N, k, C, H, W): the image after each step; 4.1: k = 0
    step_labels: Tensor  # int64 (N, k): the class that each step was filled for
    plan: Plan  # how the passes were run

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All fields but the plan, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    @property
    def found(self) -> Tensor:
        """Whether a draw was accepted, bool (N,)."""
        return self.accepted > 0


def filled(
    given: FillInput, window: Callable[[Engine, slice], Fill], plan: Plan, halve: bool
) -> Fill:
    """The fills of all windows, joined.

    If `halve`, the plan is halved as long as memory is too short for it; else OutOfMemory is
    raised.
    """
    parts, plan = given.in_fitting_windows(plan, window, halve=halve)
    joined = {name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors}
    return Fill(**joined, plan=plan)
