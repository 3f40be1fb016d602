"""Estimate: a value, its interval, and the number of images behind both."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval [low, high] over `n` images."""

    value: float
    low: float
    high: float
    n: int

    @property
    def finite(self) -> bool:
        """Whether low <= value <= high are numbers, from at least one image."""
        numbers = all(math.isfinite(x) for x in (self.low, self.value, self.high))
        return numbers and self.low <= self.value <= self.high and self.n > 0

    def minus(self, known: float) -> "Estimate":
        """This estimate minus a number that is known exactly."""
        return Estimate(self.value - known, self.low - known, self.high - known, self.n)

    def negated(self) -> "Estimate":
        """Minus this estimate."""
        return Estimate(-self.value, -self.high, -self.low, self.n)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


UNMEASURED = Estimate(math.nan, math.nan, math.nan, 0)
"""The estimate of a metric that was declared and not measured; it is never finite."""
