"""How far apart the fills of two plans are, over the same masks."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.plan import Plan
from fillblanks.memory import OutOfMemory

DRAWS_FLOAT64 = 64  # draws of each image in float64, which is slow


@dataclass(frozen=True)
class TrialFill:
    """The fill of N images that a plan gave, as far as it is compared."""

    compared: Tensor  # (N, ...) in [0, 1], in the form that `overlap` takes; NaN: no fill was found
    prototype: Tensor  # (N, C, H, W) in [0, 1]
    label: Tensor  # int64 (N,), the class that the draws were accepted for
    accepted: Tensor  # int64 (N,), accepted draws
    drawn: Tensor  # int64 (N,), all draws


# The fill of the first `count` images with `draws` draws of each, over the same masks in each plan.
FillInTrial = Callable[[int, int, Plan], TrialFill]


class Comparison:
    """How far apart the prototypes of two plans are, over the same masks.

    `fill(count, draws, plan)` fills `count` images, with `draws` draws of each; `classifier` is
    asked for the class of their prototypes.
    """

    def __init__(self, classifier: Classifier, fill: FillInTrial, count: int, draws: int):
        self._classifier, self._fill = classifier, fill
        self._count, self._draws = count, draws
        self._full: dict[int, TrialFill] = {}

    def full_to_float64(self, full: Plan) -> float:
        """The mean distance, 0 to 1; NaN if the network does not run in float64."""
        draws = min(self._draws, DRAWS_FLOAT64)
        try:
            # The network as it is: memory format, for one, decides between equal values.
            plan = Plan(full.chunk, full.block, precision="float64")
            reference = self._filled(plan, draws)
        except (RuntimeError, ValueError, TypeError):
            return float("nan")  # a network that does not run in float64 has no reference
        return _distance(reference, self._filled_in_full(full, draws))

    def to_full(self, plan: Plan, full: Plan) -> tuple[float, str]:
        """The mean distance, 0 to 1, and in words the figures that `plan` changes by too much."""
        one, other = self._filled(plan, self._draws), self._filled_in_full(full, self._draws)
        now, before = self._recognised(one), self._recognised(other)
        moved = int((now != before).sum())
        own = before == other.label.to(before.device)
        accepted, expected = (float((f.accepted / f.drawn).mean()) for f in (one, other))
        words = ""
        if moved / self._count >= half_interval(float(own.double().mean()), self._count):
            words += f"; {moved} of {self._count} are recognised as another class"
        if abs(accepted - expected) >= half_interval(expected, self._count):
            words += f"; {accepted:.1%} of its draws are accepted, in full {expected:.1%}"
        return _distance(one, other), words

    def _filled_in_full(self, full: Plan, draws: int) -> TrialFill:
        if draws not in self._full:
            self._full[draws] = self._filled(full, draws)
        return self._full[draws]

    def _filled(self, plan: Plan, draws: int) -> TrialFill:
        while True:
            try:
                return self._fill(self._count, draws, plan)
            except OutOfMemory:
                if plan.halved() == plan:
                    raise
                plan = plan.halved()

    def _recognised(self, fill: TrialFill) -> Tensor:
        with self._classifier.steady():
            return self._classifier.predict(self._classifier.to_device(fill.prototype))


def _distance(one: TrialFill, other: TrialFill) -> float:
    """Mean of 1 - overlap; 1 for an image that only one found a fill for; NaN if none did."""
    missing = torch.stack([fill.compared.flatten(1).isnan().any(1) for fill in (one, other)])
    distances = torch.where(missing.any(0), 1.0, 1 - overlap(one.compared, other.compared))
    return float(distances[~missing.all(0)].mean())


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of two fills: sum of minima over sum of maxima.

    `one` and `other` are (N, ...) in [0, 1]. Returns float64 (N,) in [0, 1]: the Jaccard index of
    white pixels if both are binarised, else the Ruzicka similarity. 1 for two black images; NaN for
    an image with a NaN in either.
    """
    a, b = one.flatten(1).double(), other.flatten(1).double()
    union = torch.maximum(a, b).sum(1)
    return torch.where(union == 0, 1.0, torch.minimum(a, b).sum(1) / union)


def half_interval(share: float, count: int) -> float:
    """Half the width of Wilson's 95 % interval of a share, 0 to 1, of `count` >= 1 cases."""
    z = 1.96
    return z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
