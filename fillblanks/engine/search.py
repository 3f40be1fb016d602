"""Search: the fastest plan for a network, found by timing plans one change at a time."""

import gc
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.engine.aten import missing
from fillblanks.engine.comparison import DRAWS_FLOAT64
from fillblanks.engine.plan import REDUCED, Plan, default_plan, with_block, with_fixed
from fillblanks.engine.step import UpdateOrder
from fillblanks.engine.timing import Runner, seconds_per_pass, times_faster
from fillblanks.memory import OutOfMemory

_FEWEST_IMAGES, _FEWEST_DRAWS = 8, 32
_SHARE, _LEAST_SECONDS = 0.1, 20.0  # of the passes' time, or at least, that tuning may take
_GAIN = 1.02  # a candidate that is not faster by this much does not replace a simpler plan
_LARGEST_CHUNK = {"cpu": 512, "cuda": 16384}
_LONG_PASS_SECONDS = 0.25  # of a whole chunk: a larger chunk cannot save much
_RUNNERS_KEPT = 3


@dataclass(frozen=True)
class Trial:
    """A plan that was tried."""

    plan: Plan
    seconds_per_pass: float  # of one masked image; infinite if the network does not run so
    overlap: float | None = None  # least overlap of its prototypes with those of float64
    refused: str = ""  # why it was not taken, if not for its speed


class Search:
    """Times plans, each beside the best plan so far, as long as there is time.

    `images` (N, C, H, W) are as `Classifier.to_input` gives them. `order` is the update of a pass.
    `passes` is how many passes the plan is wanted for, None for no limit of time. `fixed` are
    fields of `Plan` that are not tried. `largest` is the most images that the network takes in a
    pass.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        order: UpdateOrder,
        fixed: dict[str, Any],
        passes: int | None,
        largest: int | None = None,
    ):
        self._most = largest
        self._largest = min(largest or math.inf, _LARGEST_CHUNK[classifier.device.type])
        self.fixed, self.trials = fixed, list[Trial]()
        self._classifier, self._images, self._order = classifier, images, order
        self._passes, self._has_graph = passes, not missing()
        self._runners: dict[Plan, Runner] = {}
        self._started, self._seconds = time.monotonic(), math.inf

    def full(self) -> Trial:
        """The fastest plan in full precision, or in the fixed precision unless that is reduced."""
        reduced = self.fixed.get("precision") in REDUCED
        fixed = {k: v for k, v in self.fixed.items() if not (reduced and k == "precision")}
        shape, largest = self._images.shape[1:], self._most
        best = self._first(with_fixed(default_plan(*shape), fixed, shape, largest))
        if self._passes is not None:
            self._seconds = max(_LEAST_SECONDS, _SHARE * self._passes * best.seconds_per_pass)
        best = self._chunked(self._formatted(best))
        if self._classifier.device.type == "cuda":
            best = self._best(best, "captured", True)
        return best

    def reduced(self, full: Trial) -> list[Trial]:
        """Plans in reduced precision that are faster than `full`, fastest first."""
        wanted = self.fixed.get("precision")
        if wanted in ("full", "float64"):
            return []
        if wanted is None and self._classifier.dtype != torch.float32:
            return []
        found = []
        for precision in REDUCED if wanted is None else (wanted,):
            if wanted is None and self._late:
                break
            plan = replace(full.plan, precision=precision)
            if plan.needs_graph and not self._has_graph:
                continue
            trial = self._tried(plan, full)
            if wanted is not None and trial.refused:
                raise ValueError(f"Expected a network that runs in {wanted}, got {trial.refused}")
            if not trial.refused:
                trial = self._chunked(self._formatted(trial))
                faster = times_faster(self._runner(trial.plan), self._runner(full.plan))
                if wanted or faster >= _GAIN:
                    found.append(trial)
        return sorted(found, key=lambda trial: trial.seconds_per_pass)

    def affordable(self, full: Trial, images: int, draws: int) -> tuple[int, int]:
        """How many images there is time to compare (0: none), and with how many draws of each."""
        left = self._seconds - (time.monotonic() - self._started)
        if left == math.inf:
            return images, draws
        passes = max(0.0, left) / full.seconds_per_pass
        # Full and two reduced precisions; float64 is about half as fast, and once more as many.
        exact, each = 3 * DRAWS_FLOAT64, 3
        fewest = min(draws, _FEWEST_DRAWS)
        draws = max(fewest, min(draws, int((passes / images - exact) / each)))
        count = min(images, int(passes / (exact + each * draws)))
        return (count if count >= min(images, _FEWEST_IMAGES) else 0), draws

    @property
    def _late(self) -> bool:
        """Whether half of all time, which is for trials, is over."""
        return time.monotonic() - self._started > self._seconds / 2

    def _first(self, plan: Plan) -> Trial:
        """The first plan, to which the others are compared; its chunk is halved until it runs."""
        while True:
            try:
                return self._keep(Trial(plan, seconds_per_pass(self._runner(plan))))
            except OutOfMemory:
                if plan.halved() == plan:
                    raise
                plan = plan.halved()

    def _formatted(self, best: Trial) -> Trial:
        """`best` in the other memory format and with the other graph, if they are faster."""
        formats = {"contiguous": "channels_last", "channels_last": "contiguous"}
        best = self._best(best, "memory_format", formats[best.plan.memory_format])
        return self._best(best, "fused", not best.plan.fused)

    def _chunked(self, best: Trial) -> Trial:
        """`best` with larger chunks as long as they are faster, else with smaller chunks."""
        start = best
        for factor in (2, 0.5):
            if best is not start:
                break
            while True:
                chunk = int(best.plan.chunk * factor)
                long = best.seconds_per_pass * best.plan.chunk > _LONG_PASS_SECONDS and factor > 1
                if long or not 1 <= chunk <= self._largest:
                    break
                better = self._best(best, "chunk", chunk)
                if better is best:
                    break
                best = better
        return best

    def _best(self, best: Trial, name: str, value: Any) -> Trial:
        """`best`, or with `name` changed to `value` if that is allowed and faster."""
        if name in self.fixed or self._late:
            return best
        plan = replace(best.plan, **{name: value})
        if plan.needs_graph and not self._has_graph:
            return best
        if name == "chunk" and "block" not in self.fixed:
            plan = with_block(plan, self._images.shape[1:].numel())
        trial = self._tried(plan, best)
        return trial if trial.seconds_per_pass * _GAIN <= best.seconds_per_pass else best

    def _tried(self, plan: Plan, best: Trial) -> Trial:
        """A trial beside `best`; if the network does not run so, the trial says why."""
        try:
            faster = times_faster(self._runner(plan), self._runner(best.plan))
            return self._keep(Trial(plan, best.seconds_per_pass / faster))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = f"{type(error).__name__}: {(str(error).strip() or ' ').splitlines()[0]}"
            return self._keep(Trial(plan, float("inf"), refused=reason))

    def _runner(self, plan: Plan) -> Runner:
        if plan not in self._runners:
            if self._classifier.device.type == "cuda":
                # Graphs of earlier plans refer to themselves, and Python does not see how much
                # memory of a GPU they keep.
                gc.collect()
            runner = Runner(self._classifier, self._images, plan, self._order)
            while len(self._runners) >= _RUNNERS_KEPT:
                self._runners.pop(next(iter(self._runners)))
            self._runners[plan] = runner
        return self._runners[plan]

    def _keep(self, trial: Trial) -> Trial:
        self.trials.append(trial)
        return trial
