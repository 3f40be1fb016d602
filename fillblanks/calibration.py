"""calibrate: a fast plan for a network, found by trying it, that does not change the answer."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fillblanks.classifier import Classifier
from fillblanks.comparison import DRAWS_FLOAT64, Comparison
from fillblanks.memory import OutOfMemory
from fillblanks.plan import REDUCED, Plan, default_plan, with_block, with_fixed
from fillblanks.timing import Runner, seconds_per_pass, times_faster

LEAST_OVERLAP = 0.98
_IMAGES = 32  # at most, whose prototypes are compared
_FEWEST_IMAGES, _FEWEST_DRAWS = 8, 32
_SHARE, _LEAST_SECONDS = 0.1, 20.0  # of the passes' time, or of anybody's, that calibrating takes
_GAIN = 1.02  # a candidate that is not faster by this much does not replace a simpler one
_LARGEST_CHUNK = {"cpu": 512, "cuda": 16384}
_LONG_PASS_SECONDS = 0.25  # of a whole chunk: a larger one cannot save much
_RUNNERS_KEPT = 3
_ONLY_COST = ("samples", "max_draws", "tolerance")


@dataclass(frozen=True)
class Trial:
    """A plan that was tried."""

    plan: Plan
    seconds_per_pass: float  # of one masked image; infinite where the network does not run so
    overlap: float | None = None  # of its prototypes with those of float64, at least
    refused: str = ""  # why it was not taken, where speed is not why


@dataclass(frozen=True)
class Calibration:
    """The plan that was found, and what was tried."""

    plan: Plan
    seconds_per_pass: float
    overlap: float  # of the plan's prototypes with those of float64, at least; NaN: not known
    trials: tuple[Trial, ...]


def calibrate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    draws: int = 512,
    passes: int | None = None,
    fixed: dict[str, Any] | None = None,
    **options: Any,
) -> Calibration:
    """Finds a fast plan for `expected_fill(classifier, images, labels, **options)`.

    Memory format, rewriting and chunk are tried for speed, in full precision; then reduced
    precision, which is taken only if it does not change the answer. With the same masks, of up to
    32 `images`, its prototypes must overlap with those of float64 by 0.98 or more (mean
    intersection over union), and the share of them that is recognised as another class, and the
    change of the share of accepted draws, must stay below half the 95 % interval (Wilson) of the
    figure they change. The overlap is estimated through full precision, with `draws` draws an image
    between the two and 64 between full and float64: 1 - overlap is a metric (Jaccard; Ruzicka where
    T is not binary), so distances add up at most.

    `passes` is how many the plan is wanted for: calibrating then takes about a tenth of their time
    or 20 seconds at most, with fewer images and draws or without reduced precision if need be.
    `fixed` holds fields of `Plan` that are not to be tried; a precision fixed there is taken
    whatever its overlap. `samples`, `max_draws` and `tolerance` among the options do not matter.
    Raises ValueError where the network cannot run as they say, OutOfMemory where not even a single
    pass fits into memory.
    """
    options = {name: value for name, value in options.items() if name not in _ONLY_COST}
    images = classifier.to_input(images[:_IMAGES])
    search = _Search(classifier, images, dict(fixed or {}), passes)
    full = search.full()
    candidates = search.reduced(full)
    count, draws = search.affordable(full, len(images), draws)
    if not count and "precision" not in search.fixed:
        return Calibration(full.plan, full.seconds_per_pass, float("nan"), tuple(search.trials))
    compared = Comparison(classifier, images, labels, max(count, 1), draws, options)
    distance = compared.full_to_float64(full.plan)
    for trial in (*candidates, full):
        reduced = trial.plan.precision in REDUCED
        further, changes = compared.to_full(trial.plan, full.plan) if reduced else (0.0, "")
        least = 1 - distance - further
        if not reduced or "precision" in search.fixed or (least >= LEAST_OVERLAP and not changes):
            return Calibration(trial.plan, trial.seconds_per_pass, least, tuple(search.trials))
        refused = f"its prototypes overlap with those of float64 by {least:.3f}{changes}"
        search.trials.append(replace(trial, overlap=least, refused=refused))
    raise AssertionError("full precision is always taken")


class _Search:
    """Times plans, each beside the best one so far, as long as there is time."""

    def __init__(
        self, classifier: Classifier, images: Tensor, fixed: dict[str, Any], passes: int | None
    ):
        self.fixed, self.trials = fixed, list[Trial]()
        self._classifier, self._images, self._passes = classifier, images, passes
        self._runners: dict[Plan, Runner] = {}
        self._started, self._seconds = time.monotonic(), math.inf

    def full(self) -> Trial:
        """The fastest plan in full precision, or in the fixed one where it is not reduced."""
        reduced = self.fixed.get("precision") in REDUCED
        fixed = {k: v for k, v in self.fixed.items() if not (reduced and k == "precision")}
        shape = self._images.shape[1:]
        best = self._first(with_fixed(default_plan(*shape), fixed, shape))
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
            trial = self._tried(replace(full.plan, precision=precision), full)
            if wanted is not None and trial.refused:
                raise ValueError(f"Expected a network that runs in {wanted}, got {trial.refused}")
            if not trial.refused:
                trial = self._chunked(self._formatted(trial))
                faster = times_faster(self._runner(trial.plan), self._runner(full.plan))
                if wanted or faster >= _GAIN:
                    found.append(trial)
        return sorted(found, key=lambda trial: trial.seconds_per_pass)

    def affordable(self, full: Trial, images: int, draws: int) -> tuple[int, int]:
        """How many images can be compared, 0 for none, and with how many draws of each."""
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
        """Whether the time for trials, half of all, is over."""
        return time.monotonic() - self._started > self._seconds / 2

    def _first(self, plan: Plan) -> Trial:
        """The plan all others are held against; it must run, with a smaller chunk if need be."""
        while True:
            try:
                return self._keep(Trial(plan, seconds_per_pass(self._runner(plan))))
            except OutOfMemory:
                if plan.halved() == plan:
                    raise
                plan = plan.halved()

    def _formatted(self, best: Trial) -> Trial:
        """In the other memory format and with the rewritten graph, where they are faster."""
        formats = {"contiguous": "channels_last", "channels_last": "contiguous"}
        best = self._best(best, "memory_format", formats[best.plan.memory_format])
        return self._best(best, "fused", not best.plan.fused)

    def _chunked(self, best: Trial) -> Trial:
        """With larger chunks as long as they are faster, else with smaller ones."""
        largest = _LARGEST_CHUNK[self._classifier.device.type]
        start = best
        for factor in (2, 0.5):
            if best is not start:
                break
            while True:
                chunk = int(best.plan.chunk * factor)
                long = best.seconds_per_pass * best.plan.chunk > _LONG_PASS_SECONDS and factor > 1
                if long or not 1 <= chunk <= largest:
                    break
                better = self._best(best, "chunk", chunk)
                if better is best:
                    break
                best = better
        return best

    def _best(self, best: Trial, name: str, value: Any) -> Trial:
        """`best`, or with `name` changed to `value` where that may be and is faster."""
        if name in self.fixed or self._late:
            return best
        plan = replace(best.plan, **{name: value})
        if name == "chunk" and "block" not in self.fixed:
            plan = with_block(plan, self._images.shape[1:].numel())
        trial = self._tried(plan, best)
        return trial if trial.seconds_per_pass * _GAIN <= best.seconds_per_pass else best

    def _tried(self, plan: Plan, best: Trial) -> Trial:
        """A trial beside `best`; not every network runs in every way, one that does not is told."""
        try:
            faster = times_faster(self._runner(plan), self._runner(best.plan))
            return self._keep(Trial(plan, best.seconds_per_pass / faster))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = f"{type(error).__name__}: {(str(error).strip() or ' ').splitlines()[0]}"
            return self._keep(Trial(plan, float("inf"), refused=reason))

    def _runner(self, plan: Plan) -> Runner:
        if plan not in self._runners:
            runner = Runner(self._classifier, self._images, plan)
            while len(self._runners) >= _RUNNERS_KEPT:
                self._runners.pop(next(iter(self._runners)))
            self._runners[plan] = runner
        return self._runners[plan]

    def _keep(self, trial: Trial) -> Trial:
        self.trials.append(trial)
        return trial
