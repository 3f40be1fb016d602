"""Linear bounds of values of a network, found from the back to the front (CROWN).

Zhang et al. 2018 (arXiv 1811.00866); for graphs Xu et al. 2020 (arXiv 2002.12920). A ReLU whose
input may be of either sign is between two lines: from above the chord, from below a line through
the origin whose slope is any number in [0, 1], 1 by default if the input reaches further up than
down, and else 0.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fillblanks.bounds.interval import Bounds, rounding_of
from fillblanks.bounds.rounding import gamma64
from fillblanks.bounds.steps import Affine, Images, Interval, Relu

_ROWS_VALUES = 1 << 23  # values of coefficients at a time: 64 MiB
_NEGLIGIBLE = 1e-12  # of the largest value of a step
_SUMS = 1.01  # for the rounding of the slack itself, a sum of positive values

Slopes = Mapping[int, Tensor]
"""Slopes of the lines below, by the number of the ReLU; float64 that can be (rows, ...)."""


def lower_bounds(bounds: Bounds, at: int, rows: Tensor, slopes: Slopes | None = None) -> Tensor:
    """Lower bounds of linear functions of the values of step `at`, float64 (rows,).

    `rows` are the coefficients of these functions, float64 (rows, ...). The bounds hold for all
    images of the box, with rounding. `slopes` are clamped to [0, 1].
    """
    return _Backward(bounds, slopes or {}).run(at, rows)


def interval_bounds(bounds: Bounds, at: int, rows: Tensor) -> Tensor:
    """The same from the intervals of the inputs of step `at` alone (IBP)."""
    return _Backward(bounds, {}).run(at, rows, first=at)


def tightened(bounds: Bounds) -> Bounds:
    """The bounds with tighter intervals before each ReLU whose input may be of either sign.

    `bounds` itself is changed.
    """
    largest = max(torch.Size(shape).numel() for shape in bounds.program.shapes)
    size = max(1, _ROWS_VALUES // largest)
    for step in bounds.program.steps:
        if not isinstance(step, Relu):
            continue
        at = step.inputs[0]
        given = bounds.intervals[at]
        # Of values that are 0 but for rounding, tighter bounds would tighten nothing else.
        matters = given.size > _NEGLIGIBLE * given.size.max()
        loose = ((given.low < 0) & (given.high > 0) & matters).flatten().nonzero()[:, 0]
        if not len(loose):
            continue
        low, high = given.low.flatten().clone(), given.high.flatten().clone()
        for some in loose.split(size):
            rows = low.new_zeros(len(some), len(low))
            rows[torch.arange(len(some)), some] = 1
            rows = rows.view(-1, *given.low.shape[1:])
            low[some] = lower_bounds(bounds, at, rows)
            high[some] = -lower_bounds(bounds, at, -rows)
        bounds.tighten(at, Interval(low.view_as(given.low), high.view_as(given.high)))
    return bounds


class _Backward:
    """One pass from a step back to the images."""

    def __init__(self, bounds: Bounds, slopes: Slopes):
        self._bounds, self._program, self._slopes = bounds, bounds.program, slopes

    def run(self, at: int, rows: Tensor, first: int = 0) -> Tensor:
        """Lower bounds; steps before `first` are taken for what their intervals say."""
        self._total = rows.new_zeros(len(rows))
        self._sizes = rows.new_zeros(len(rows))  # of all that was added
        self._slack = rows.new_zeros(len(rows))
        self._left = {at: rows}
        for number in range(at, -1, -1):
            if number in self._left:
                rows = self._left.pop(number)
                if number < first:
                    self._from_interval(number, rows)
                else:
                    self._through(number, rows)
        rounded = gamma64(8 * (at + 1)) * self._sizes + _SUMS * self._slack
        return self._total - rounded

    def _through(self, number: int, rows: Tensor) -> None:
        step = self._program.steps[number]
        if isinstance(step, Images):
            self._from_interval(number, rows)
        elif isinstance(step, Affine):
            if step.constant is not None:
                self._add(rows * step.constant)
            magnitude = self._bounds.magnitudes[number]
            assert magnitude is not None
            share = rounding_of(step, self._program) + gamma64(rows[0].numel())
            self._widen(rows, magnitude, share)
            self._widen(rows, torch.ones_like(magnitude), self._bounds.flushed[number])
            given = step.transposed(rows, self._program.shapes_of(step))
            for i, one in zip(step.inputs, given, strict=True):
                self._give(i, one)
        else:
            self._through_relu(number, step, rows)

    def _from_interval(self, number: int, rows: Tensor) -> None:
        box = self._bounds.intervals[number]
        centre, reach = (box.low + box.high) / 2, (box.high - box.low) / 2
        self._add(rows * centre - rows.abs() * reach)
        self._widen(rows, box.size, gamma64(rows[0].numel()))

    def _through_relu(self, number: int, step: Relu, rows: Tensor) -> None:
        given = self._bounds.intervals[step.inputs[0]]
        low, high = given
        loose = (low < 0) & (high > 0)
        # 0 or 1 if the sign is known. A loose chord is a little too steep, so that it stays above
        # with rounding.
        known = (low >= 0).to(rows.dtype)
        chord = high / (high - low).where(loose, 1.0) * (1 + gamma64(0))
        above = torch.where(loose, chord, known)
        offset = torch.where(loose, -chord * low, 0.0)
        below = torch.where(loose, self._slope_below(number, given), known)
        positive, negative = rows.clamp(min=0), rows.clamp(max=0)
        self._add(negative * offset)
        self._widen(rows, given.size, gamma64(rows[0].numel()))
        self._give(step.inputs[0], positive * below + negative * above)

    def _slope_below(self, number: int, given: Interval) -> Tensor:
        slope = self._slopes.get(number)
        if slope is None:
            return (given.high > -given.low).to(given.low.dtype)
        # A clamp has no gradient at its ends, where slopes begin.
        return slope + (slope.clamp(0, 1) - slope).detach()

    def _give(self, number: int, rows: Tensor) -> None:
        if number in self._left:
            self._widen(rows, self._bounds.intervals[number].size, gamma64(1))
            self._widen(self._left[number], self._bounds.intervals[number].size, gamma64(1))
            rows = self._left[number] + rows
        self._left[number] = rows

    def _add(self, values: Tensor) -> None:
        values = values.flatten(1)
        self._total = self._total + values.sum(1)
        self._sizes = self._sizes + values.abs().sum(1)

    def _widen(self, rows: Tensor, size: Tensor, share: float) -> None:
        with torch.no_grad():
            self._slack = self._slack + share * (rows.abs() * size).flatten(1).sum(1)
