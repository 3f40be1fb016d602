"""Prover: how small can the margin of an answer get, whatever stands in a blank?"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fillblanks.bounds.crown import interval_bounds, lower_bounds, tightened
from fillblanks.bounds.interval import Bounds
from fillblanks.bounds.reading import NotBounded, program_of
from fillblanks.bounds.steps import Interval, Program, Relu
from fillblanks.classifier import Classifier

_RATE, _DECAY = 0.3, 0.97  # of the optimised slopes; chosen after looking at MNIST's networks


class Margin(NamedTuple):
    """Lower bounds of the smallest margin, the logit of the answer minus the largest other one.

    Each is at least as large as the one before; NaN if a bound is not finite, or if a value may be
    too large for the network's dtype.
    """

    ibp: float  # by intervals alone
    crown: float  # by linear bounds and intervals
    best: float  # the same with optimised slopes, if they were asked for


class Prover:
    """Bounds of one network's margins.

    The bounds hold for the network as it is run in its own dtype, see rounding.py.
    """

    def __init__(self, classifier: Classifier, images: Tensor):
        """`images` (N, C, H, W) in [0, 1], N >= 2, are of the size that the network takes.

        Raises NotBounded if the network has an operation of which no bound is known, or if the
        steps that were read do not answer as the network does.
        """
        self._classifier = classifier
        self.program: Program = program_of(classifier, images)
        self._expect_same(images)

    def margin(self, image: Tensor, blank: Tensor, answer: int, *, steps: int = 0) -> Margin:
        """Bounds of the margin of class `answer` over all fills of the blank, in [0, 1].

        `image` is (C, H, W) in [0, 1], `blank` bool (H, W) or (1, H, W). With `steps`, the slopes
        of lines below ReLUs are optimised in so many steps of gradient ascent, if the bound is not
        above 0 before (Xu et al. 2021, alpha-CROWN, arXiv 2011.13824, for the last bound alone).
        """
        with torch.no_grad():
            bounds = Bounds(self.program, box_of(self._classifier, image, blank))
            rows = margin_rows(self._logits, answer).to(self.program.device)
            if bounds.overflows:
                return Margin(math.nan, math.nan, math.nan)
            last = len(self.program.steps) - 1
            by_intervals = interval_bounds(bounds, last, rows)
            each = lower_bounds(tightened(bounds), last, rows)
            each = each.maximum(interval_bounds(bounds, last, rows)).maximum(by_intervals)
        crown = best = _smallest(each)
        if steps and not crown > 0:
            best = _smallest(torch.maximum(each, self._optimised(bounds, rows, steps)))
        return Margin(_smallest(by_intervals), crown, best)

    @property
    def _logits(self) -> int:
        return self.program.shapes[-1][0]

    def _optimised(self, bounds: Bounds, rows: Tensor, steps: int) -> Tensor:
        """Lower bounds of each row, the best that were seen."""
        slopes = _default_slopes(bounds, len(rows))
        if not slopes:
            return torch.full((len(rows),), -torch.inf, dtype=rows.dtype, device=rows.device)
        last = len(self.program.steps) - 1
        best = torch.full((len(rows),), -torch.inf, dtype=rows.dtype, device=rows.device)
        optimiser = torch.optim.Adam(slopes.values(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, _DECAY)
        for _ in range(steps):
            with torch.enable_grad():
                found = lower_bounds(bounds, last, rows, slopes)
                optimiser.zero_grad()
                (-found.sum()).backward()
            best = torch.maximum(best, found.detach())
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for slope in slopes.values():
                    slope.clamp_(0, 1)
        return best

    def _expect_same(self, images: Tensor) -> None:
        """Each image alone is a box, in whose bounds the network's own answer must be."""
        nothing = torch.zeros(images.shape[2:], dtype=torch.bool)
        for image in images[:2]:
            with torch.no_grad(), self._classifier.steady():
                given = self._classifier.to_device(image[None])
                logits = self._classifier(given).double()
                box = box_of(self._classifier, image, nothing)
                low, high = Bounds(self.program, box).intervals[-1]
            if not ((logits >= low) & (logits <= high)).all():
                raise NotBounded(
                    "Expected the network's own answers within the bounds of its graph, got others."
                )


def box_of(classifier: Classifier, image: Tensor, blank: Tensor) -> Interval:
    """All images that are `image` outside of the blank and anything in [0, 1] inside."""
    given = classifier.to_device(image[None]).double()
    free = blank.to(given.device).view(1, 1, *image.shape[1:]).expand_as(given)
    return Interval(given.masked_fill(free, 0.0), given.masked_fill(free, 1.0))


def margin_rows(classes: int, answer: int) -> Tensor:
    """The coefficients of the margins over each other class, float64 (K - 1, K)."""
    rows = -torch.eye(classes, dtype=torch.float64)
    rows[:, answer] += 1
    return rows[torch.arange(classes) != answer]


def _smallest(values: Tensor) -> float:
    return float(values.min()) if values.isfinite().all() else float("nan")


def _default_slopes(bounds: Bounds, rows: int) -> Mapping[int, Tensor]:
    """The slopes from which the optimisation starts, for each row, that require a gradient."""
    found = {}
    for number, step in enumerate(bounds.program.steps):
        if isinstance(step, Relu):
            low, high = bounds.intervals[step.inputs[0]]
            if ((low < 0) & (high > 0)).any():
                slope = (high > -low).to(low.dtype).expand(rows, *low.shape[1:]).clone()
                found[number] = slope.requires_grad_()
    return found
