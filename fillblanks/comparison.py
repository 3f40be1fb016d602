"""How far apart the fills of two plans are, over the same masks."""

import math
from typing import Any

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.fill import Fill, expected_fill
from fillblanks.memory import OutOfMemory
from fillblanks.plan import Plan
from fillblanks.threshold import comparable, overlap

DRAWS_FLOAT64 = 64  # draws of each image in float64, which is slow


class Comparison:
    """How far apart the prototypes of two plans are, over the same masks."""

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor | None,
        count: int,
        draws: int,
        options: dict[str, Any],
    ):
        self._classifier, self._images = classifier, images[:count]
        self._labels = None if labels is None else labels[:count]
        self._draws, self._options = draws, dict(options)
        if options.get("indices") is not None:
            self._options["indices"] = options["indices"][:count]
        self._full: dict[int, Fill] = {}

    def full_to_float64(self, full: Plan) -> float:
        draws = min(self._draws, DRAWS_FLOAT64)
        try:
            # Of the network as it is: memory format, for one, decides between equal values.
            plan = Plan(full.chunk, full.block, precision="float64")
            reference = self._filled(plan, draws)
        except (RuntimeError, ValueError, TypeError):
            return float("nan")  # a network that does not run in float64 has no reference
        return self._distance(reference, self._filled_in_full(full, draws))

    def to_full(self, plan: Plan, full: Plan) -> tuple[float, str]:
        """The distance, and in words which figures it changes by too much."""
        one, other = self._filled(plan, self._draws), self._filled_in_full(full, self._draws)
        count = len(self._images)
        now, before = self._recognised(one), self._recognised(other)
        moved = int((now != before).sum())
        own = before == other.label.to(before.device)
        accepted, expected = (float((f.accepted / f.drawn).mean()) for f in (one, other))
        words = ""
        if moved / count >= half_interval(float(own.double().mean()), count):
            words += f"; {moved} of {count} are recognised as another class"
        if abs(accepted - expected) >= half_interval(expected, count):
            words += f"; {accepted:.1%} of its draws are accepted, in full {expected:.1%}"
        return self._distance(one, other), words

    def _filled_in_full(self, full: Plan, draws: int) -> Fill:
        if draws not in self._full:
            self._full[draws] = self._filled(full, draws)
        return self._full[draws]

    def _filled(self, plan: Plan, draws: int) -> Fill:
        while True:
            try:
                return expected_fill(
                    self._classifier,
                    self._images,
                    self._labels,
                    samples=draws,
                    max_draws=draws,
                    plan=plan,
                    **self._options,
                )
            except OutOfMemory:
                if plan.halved() == plan:
                    raise
                plan = plan.halved()

    def _recognised(self, fill: Fill) -> Tensor:
        with self._classifier.steady():
            return self._classifier.predict(self._classifier.to_device(fill.prototype))

    def _distance(self, *fills: Fill) -> float:
        """Mean of 1 - overlap; 1 for an image that only one found a fill for; NaN if none did."""
        normalise = self._options.get("normalise", "positive")
        binarise = self._options.get("binarise", 0.1)
        one, other = (
            comparable(fill.update, normalise=normalise, binarise=binarise) for fill in fills
        )
        missing = torch.stack([one.flatten(1).isnan().any(1), other.flatten(1).isnan().any(1)])
        distances = torch.where(missing.any(0), 1.0, 1 - overlap(one, other))
        return float(distances[~missing.all(0)].mean())


def half_interval(share: float, count: int) -> float:
    """Half the width of Wilson's 95 % interval of a share of `count`."""
    z = 1.96
    return z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
