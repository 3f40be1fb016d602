"""Intervals of all values of a network, step by step (interval bound propagation, IBP).

Gowal et al. 2018 (arXiv 1810.12715), section 3.
"""

from math import prod

import torch
from torch import Tensor

from fillblanks.bounds.rounding import flushable, gamma, gamma64, tiny
from fillblanks.bounds.steps import Affine, Images, Interval, Program


class Bounds:
    """Intervals of the values of each step, for images in one box.

    `intervals` holds one for each step; `magnitudes` holds, for each step that is a sum, the
    largest sum of the absolute values of its terms, and else None; `flushed` holds by how much
    values of it may differ since the network's dtype has no numbers nearer to 0. `overflows` says
    that a value may be too large for that dtype: then no bound holds.
    """

    def __init__(self, program: Program, box: Interval):
        """Finds the intervals; `box` has the least and largest pixels, float64 (1, C, H, W)."""
        self.program, self._box = program, box
        self._tight: dict[int, Interval] = {}
        self.intervals: list[Interval] = []
        self.magnitudes: list[Tensor | None] = []
        self.flushed: list[float] = []
        self.overflows = False
        self._propagate()

    def tighten(self, step: int, interval: Interval) -> None:
        """Takes other valid bounds of one step into account, in it and behind it."""
        self._tight[step] = self.intervals[step].within(interval)
        self._propagate()

    def _propagate(self) -> None:
        before = self.intervals
        self.intervals, self.magnitudes, self.flushed = [], [], []
        for number, step in enumerate(self.program.steps):
            magnitude, flushed = None, 0.0
            if isinstance(step, Images):
                found = self._box
            elif isinstance(step, Affine):
                flushed = self._flushed(step)
                found, magnitude = self._of_sum(step, flushed)
            else:
                given = self.intervals[step.inputs[0]]
                found = Interval(given.low.clamp(min=0), given.high.clamp(min=0))
            if number in self._tight:
                found = found.within(self._tight[number])
            if before:
                found = found.within(before[number])
            self.intervals.append(found)
            self.magnitudes.append(magnitude)
            self.flushed.append(flushed)

    def _flushed(self, step: Affine) -> float:
        """How far values may move since products, inputs and weights near 0 may be taken for 0."""
        if not step.terms:
            return 0.0
        given = [self.intervals[i].size for i in step.inputs]
        weights = step.absolute(*(torch.ones_like(one) for one in given)).max()
        largest = max(float(one.max()) for one in given)
        terms = flushable(step.terms)
        return tiny(self.program.dtype) * (terms + float(weights) + terms * largest)

    def _of_sum(self, step: Affine, flushed: float) -> tuple[Interval, Tensor]:
        given = [self.intervals[i] for i in step.inputs]
        centre = step.moved(step.apply(*((one.low + one.high) / 2 for one in given)))
        reach = step.absolute(*((one.high - one.low) / 2 for one in given))
        magnitude = step.magnitude([one.size for one in given])
        share = rounding_of(step, self.program)
        largest = float(magnitude.max()) * (1 + share) + flushed
        self.overflows |= not largest < torch.finfo(self.program.dtype).max
        slack = magnitude * share + flushed
        found = Interval(centre - reach, centre + reach).widened(slack)
        if step.largest_of:
            first, *others = (self.intervals[i] for i in step.largest_of)
            low, high = first
            for other in others:
                low, high = low.maximum(other.low), high.maximum(other.high)
            found = found.within(Interval(low, high))
        return found, magnitude


def rounding_of(step: Affine, program: Program) -> float:
    """By which share of its magnitude rounding may move a value of this step."""
    own = gamma(step.terms, program.dtype) if step.terms else 0.0
    inputs = (program.shapes[i] for i in step.inputs)
    return own + gamma64(max(step.terms, sum(map(prod, inputs))))
