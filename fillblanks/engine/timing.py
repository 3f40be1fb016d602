"""How long the passes of a plan take, measured beside another plan: machines are noisy."""

import math
import statistics
import time

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.engine import Engine
from fillblanks.engine.memory import memory_told
from fillblanks.engine.plan import Plan
from fillblanks.engine.step import UpdateOrder

_ROUNDS, _SECONDS = 5, 1.5  # at most, but two rounds at least
_ROUND_SECONDS = 0.03  # at least: shorter ones tell the clock's noise


class Runner:
    """Passes of `order` as `plan` says; the same few `images` (N, C, H, W) fill its chunk.

    Raises OutOfMemory if memory is too short for one pass, and the errors of `Engine` and of the
    network.
    """

    def __init__(self, classifier: Classifier, images: Tensor, plan: Plan, order: UpdateOrder):
        self.plan, self._order = plan, order
        with memory_told(plan, images.shape), classifier.steady():
            images = classifier.to_input(images)
            self._engine = Engine(classifier, plan, images)
            self._masked = images[torch.arange(plan.chunk, device=images.device) % len(images)]
            self._labels = torch.zeros(plan.chunk, dtype=torch.int64, device=images.device)
            self._repeats = 1
            self.seconds_per_pass()  # libraries choose and set up their kernels
            once = self.seconds_per_pass() * plan.chunk
        self._repeats = max(1, math.ceil(_ROUND_SECONDS / once))

    def seconds_per_pass(self) -> float:
        """Seconds for one masked image, from one round."""
        with self._engine.steady():
            started = time.perf_counter()
            for _ in range(self._repeats):
                predicted = self._engine.steps(self._masked, self._labels, self._order).predicted
            predicted.cpu()  # a GPU is done only once its result is here
            seconds = time.perf_counter() - started
        return seconds / self._repeats / self.plan.chunk


def seconds_per_pass(runner: Runner) -> float:
    """Seconds for one masked image: the median of a few rounds."""
    return statistics.median(_rounds(runner)[0])


def times_faster(runner: Runner, other: Runner) -> float:
    """How many times as fast as `other`: the median of rounds in which both take turns."""
    own, others = _rounds(runner, other)
    return statistics.median(b / a for a, b in zip(own, others, strict=True))


def _rounds(*runners: Runner) -> list[list[float]]:
    started = time.perf_counter()
    rounds: list[list[float]] = [[] for _ in runners]
    while len(rounds[0]) < _ROUNDS:
        for times, runner in zip(rounds, runners, strict=True):
            times.append(runner.seconds_per_pass())
        if len(rounds[0]) > 1 and time.perf_counter() - started > _SECONDS:
            break
    return rounds
